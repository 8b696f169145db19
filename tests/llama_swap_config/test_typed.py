"""Every field that an operator writes: a value of another type is one line that names it.

The classes and fields are found from the types of the settings and the registry, so a new one is
tested without a line here; a new class needs an example.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.ignored_fields import IgnoredField
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.pod_resources import Gpu, PodResources, Taint
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow
from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage, ProvisionedStorage
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import CoTenant
from llama_swap_config.fit.residency import AsManyAsFit, NamedSets, OneAtATime, Residency
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.settings import ExistingGateway, Gateway, Pictures
from llama_swap_config.model import Model, Sampling
from stacks.pool import Pool
from stacks.settings import Settings
from tests.declaration.settings import BARE

TENANT = GpuTenant(namespace="immich", name="immich-machine-learning")
EXAMPLES: tuple[Any, ...] = (
    Model(id="a", repository="owner/name", quantisation="Q4_K_M"),
    Sampling(),
    OneAtATime(),
    AsManyAsFit(),
    NamedSets(sets=(("a", "b"),)),
    BARE,
    BARE.gpu,
    Taint(key="nvidia.com/gpu"),
    PodResources(),
    NfsStorage(server="192.168.1.127", path="/srv"),
    LocalSsdStorage(node="k8s-node1", path="/srv"),
    ProvisionedStorage(),
    LlamaSwapSettings(),
    ServerSettings(),
    Upkeep(),
    Monitoring(),
    Alone(),
    AtOnce(co_tenants=(CoTenant(name="immich-ml", peak_mib=2000),), slices=2),
    CoTenant(name="immich-ml", peak_mib=2000),
    ByWindow(tenants=(TENANT,)),
    TENANT,
    ImmichQueues(url="http://immich:2283"),
    IgnoredField(kind="Deployment", name="a", path="spec.minReadySeconds", reason="a webhook"),
    Consumer(name="a", namespace="a", models=("a",)),
    ExistingGateway(namespace="litellm", litellm_version="1.108.7"),
    Gateway(image=f"ghcr.io/berriai/litellm@sha256:{'0' * 64}", litellm_version="1.108.7"),
    Pictures(),
    Pool(name="a", gpu=BARE.gpu),
)
SUBJECTS: dict[Any, str] = {
    Model: "model 'a': ",
    Sampling: "model: ",
    Consumer: "consumer 'a': ",
    Pool: "pool 'a': ",
    **dict.fromkeys(get_args(Residency), "residency: "),
}
NAMED = {(Model, "id"): "model: ", (Consumer, "name"): "consumer: ", (Pool, "name"): "pool: "}
"""A field that names the object, and what an error about it begins with."""


class Stranger:
    """An object of no known class, with a text of two lines."""

    def __repr__(self) -> str:
        return "a\nstranger"


VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 3, 10**30, 1.0, 0.5, -0.0, math.nan, math.inf,
    "", "a", "Tesla-T4", "on", "1", "a\nb", "\0", "\ud800", "ü", "${PORT}", "a" * 300,
    b"a", bytearray(b"a"), [], ["a"], [("a", "b")], {}, {"a": "b"}, {"A": 1}, {1: "a"},
    {"A": None}, {("a",): "b"}, {"[key]": 1}, MappingProxyType({}), MappingProxyType({"A": "b"}),
    {"a"}, (), ("a",), ("a", "b"), ("a", 1), (1,), (None,), (("a",), "b"), (("a", "b"),),
    (("a", 1),), ("a\nb",), ("",), ("\ud800",), {}.items(), range(3), 1j, object, str,
    Stranger(), Model, Gpu, Ellipsis, NotImplemented,
    *EXAMPLES, *((example,) for example in EXAMPLES), [TENANT],
)  # fmt: skip


def classes_of(hint: Any) -> Iterator[type]:
    """Yield the dataclasses in a type, and those in the types of their fields."""
    for argument in get_args(hint):
        yield from classes_of(argument)
    if is_dataclass(hint) and isinstance(hint, type):
        yield hint
        hints = get_type_hints(hint)
        for field in fields(hint):
            yield from classes_of(hints[field.name])


WRITTEN = tuple(
    dict.fromkeys(
        cls for root in (Model, Residency, Consumer, Settings) for cls in classes_of(root)
    )
)
FIELDS = [(cls, field) for cls in WRITTEN for field in fields(cls)]


def names(parameter: object) -> str | None:
    if isinstance(parameter, Field):
        return parameter.name
    return parameter.__name__ if isinstance(parameter, type) else None


def accepts(hint: Any, value: Any) -> bool:
    """Whether a value is of a type, as mypy would say; but a bool is not a number."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(accepts(one, value) for one in args)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin is tuple:
        return isinstance(value, tuple) and all(accepts(args[0], item) for item in value)
    if origin is not None:
        return isinstance(value, Mapping) and all(
            accepts(args[0], key) and accepts(args[1], item) for key, item in value.items()
        )
    if hint in (int, float):
        number = int if hint is int else (int, float)
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, NoneType if hint is None else hint)


def shown(value: object) -> str:
    return " ".join(repr(value).split("\n"))[:70]


def parts(value: object) -> Iterator[object]:
    """Yield a value and all that is in it: an error shows the wrong one."""
    yield value
    if isinstance(value, tuple | Mapping):
        for item in [*value, *(value.values() if isinstance(value, Mapping) else ())]:
            yield from parts(item)


def arguments(cls: type) -> dict[str, Any]:
    (example,) = (example for example in EXAMPLES if type(example) is cls)
    return {field.name: getattr(example, field.name) for field in fields(cls)}


def refusal(cls: type, values: dict[str, Any]) -> str | None:
    """Return the one line of a class's error; None if it accepts the values."""
    try:
        cls(**values)
    except ConfigError as error:
        text = str(error)
        assert len(text.splitlines()) == 1, text
        assert text.endswith((".", "?")), text
        return text
    return None


def subject(cls: type) -> str:
    return SUBJECTS.get(cls, "settings: ")


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=names)
def test_a_field_refuses_each_value_of_another_type(cls: type, field: Field[Any]) -> None:
    hint = get_type_hints(cls)[field.name]
    wrong = [value for value in VALUES if not accepts(hint, value)]
    assert len(wrong) > 10
    for value in wrong:
        text = refusal(cls, arguments(cls) | {field.name: value})
        assert text is not None, value
        unnamed = NAMED.get((cls, field.name))
        assert text.startswith(unnamed or subject(cls)), text
        _, place, got = text.partition(field.name)
        assert place, text
        assert any(f" is {shown(part)}" in got for part in parts(value)), text
        assert "; expected " in got, text


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=names)
def test_a_value_of_the_right_type_is_accepted_or_refused_in_one_line(
    cls: type, field: Field[Any]
) -> None:
    hint = get_type_hints(cls)[field.name]
    for value in [value for value in VALUES if accepts(hint, value)]:
        text = refusal(cls, arguments(cls) | {field.name: value})
        assert text is None or text.startswith(
            ("settings: ", "model '", "model: ", "residency: ", "consumer '", "pool '")
        )


@pytest.mark.parametrize("cls", WRITTEN, ids=names)
def test_an_example_is_accepted(cls: type) -> None:
    assert refusal(cls, arguments(cls)) is None


@pytest.mark.parametrize("cls", WRITTEN, ids=names)
def test_an_unknown_name_is_refused(cls: type) -> None:
    text = refusal(cls, arguments(cls) | {"colour": "red"})
    assert text is not None
    assert text.startswith(subject(cls)), text
    assert f"colour is 'red'; expected a field of {cls.__name__}. Correct it in " in text


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=names)
def test_a_name_that_is_nearly_right_is_answered_with_the_field(
    cls: type, field: Field[Any]
) -> None:
    text = refusal(cls, arguments(cls) | {f"{field.name}_": None})
    assert text is not None
    assert text.endswith(f"expected a field of {cls.__name__}. Did you mean {field.name}?"), text


@pytest.mark.parametrize(
    ("cls", "field"),
    [
        (cls, field)
        for cls, field in FIELDS
        if field.default is MISSING and field.default_factory is MISSING
    ],
    ids=names,
)
def test_a_required_field_that_is_missing_is_named(cls: type, field: Field[Any]) -> None:
    values = arguments(cls)
    del values[field.name]
    text = refusal(cls, values)
    assert text is not None
    assert f"{field.name} is missing; expected " in text


@pytest.mark.parametrize("cls", WRITTEN, ids=names)
def test_a_value_without_a_name_is_refused(cls: type) -> None:
    with pytest.raises(ConfigError, match=rf"an argument of {cls.__name__} is 'x'; expected "):
        cls("x")


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: Model(id="x", repository="o/n", quantisation="Q4_K_M", aliases=("judge")),  # type: ignore[arg-type]
            "model 'x': aliases is 'judge'; expected a tuple of texts, such as ('judge',). "
            "Correct it in llama_swap_config/registry.py.",
        ),
        (
            lambda: Model(id="x", repository="o/n", quantization="Q4_K_M"),  # type: ignore[call-arg]
            "model 'x': quantization is 'Q4_K_M'; expected a field of Model. "
            "Did you mean quantisation?",
        ),
        (
            lambda: Model(id="x", repository="o/n", quantisation="Q8_0", kv_cache_type_k="q8"),  # type: ignore[arg-type]
            "model 'x': kv_cache_type_k is 'q8'; expected one of f16, bf16, q8_0, q4_0. "
            "Did you mean q8_0?",
        ),
        (
            lambda: Model(id="x", repository="o/n", quantisation="Q4_K_M", env={"X": 1}),  # type: ignore[dict-item]
            "model 'x': env.X is 1; expected text. Correct it in llama_swap_config/registry.py.",
        ),
        (
            lambda: Model(id="x", repository="o/n", quantisation="Q4_K_M", env={1: "X"}),  # type: ignore[dict-item]
            "model 'x': a name of env is 1; expected text. Correct it in "
            "llama_swap_config/registry.py.",
        ),
        (
            lambda: Model(id="x", repository="o/n", quantisation="Q4_K_M", env={"[key]": 1}),  # type: ignore[dict-item]
            "model 'x': env.[key] is 1; expected text. Correct it in "
            "llama_swap_config/registry.py.",
        ),
        (
            lambda: Model(id="x", repository="o/n", quantisation="Q4_K_M", sampling={"top_k": 1}),  # type: ignore[arg-type]
            "model 'x': sampling is {'top_k': 1}; expected Sampling(...). Correct it in "
            "llama_swap_config/registry.py.",
        ),
        (
            lambda: Sampling(top_k=1000000.0),  # type: ignore[arg-type]
            "model: sampling.top_k is 1000000.0; expected a whole number or None. Correct it in "
            "llama_swap_config/registry.py.",
        ),
        (
            lambda: NamedSets(sets=("a", "b")),  # type: ignore[arg-type]
            "residency: sets[0] is 'a'; expected a tuple of texts, such as ('a',). Correct it in "
            "llama_swap_config/registry.py.",
        ),
        (
            lambda: Gpu(product="Tesla-T4", taints=Taint(key="a")),  # type: ignore[arg-type]
            "settings: gpu.taints is Taint(key='a', value='', effect='NoSchedule'); expected a "
            "tuple of Taint(...), such as (Taint(...),). Correct it in stacks/production.py.",
        ),
        (
            lambda: NfsStorage(server=None, path="/srv"),  # type: ignore[arg-type]
            "settings: storage.server is None; expected text. Correct it in "
            "stacks/production.py.",
        ),
        (
            lambda: ImmichQueues(url="http://a", names=["ocr"]),  # type: ignore[arg-type]
            "settings: sharing.tenants.queues.names is ['ocr']; expected a tuple of texts, such "
            "as ('ocr',). Correct it in stacks/production.py.",
        ),
        (
            lambda: AtOnce(co_tenants=(), slices=True),
            "settings: sharing.slices is True; expected a whole number. Correct it in "
            "stacks/production.py.",
        ),
    ],
)  # fmt: skip
def test_the_line_says_what_to_write(make: Any, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == line
