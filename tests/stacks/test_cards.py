"""Several cards in the settings: what the pod requests, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import Gpu
from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.declaration import Declaration
from llama_swap_config.errors import ConfigError
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.model import Model
from stacks.settings import Settings
from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.constructs.test_sharing import AT_ONCE, gpu_slices
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS

TWO = replace(SETTINGS.gpu, count=2)
PAIR = replace(SETTINGS, gpu=TWO)


def on(*cards: tuple[int, ...]) -> tuple[Model, ...]:
    """Put the registry's models on cards, in their order."""
    return tuple(replace(model, cards=on) for model, on in zip(REGISTRY, cards, strict=True))


def refused(models: tuple[Model, ...], settings: Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        Declaration.of(models).residents(settings.node)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_card_is_as_before(production: dict[str, Any], synth: Synth) -> None:
    assert synth(on((0,), (0,), (0,)), gpu=replace(SETTINGS.gpu, count=1)) == production


def test_more_cards_than_the_models_use_change_only_requests_and_monitoring(
    production: dict[str, Any], synth: Synth
) -> None:
    stack = resources(synth(gpu=TWO))
    assert gpu_slices(stack) == {"nvidia.com/gpu": "2"}
    deployment = stack.pop("deployment_v1.llama-swap")
    before = resources(production)
    (container,) = deployment["spec"]["template"]["spec"]["container"]
    for kind in ("requests", "limits"):
        container["resources"][kind]["nvidia.com/gpu"] = "1"
    assert deployment == before.pop("deployment_v1.llama-swap")
    assert stack.keys() == before.keys()
    # They name the card.
    assert {name for name in stack if stack[name] != before[name]} == {
        "config_map_v1.exporter",
        "deployment_v1.exporter",
        "config_map_v1.llama-swap-alerts",
        "config_map_v1.llama-swap-dashboard",
    }


def test_a_pod_alone_on_its_node_requests_them_too(synth: Synth) -> None:
    assert gpu_slices(resources(synth(gpu=TWO, sharing=Alone()))) == {"nvidia.com/gpu": "2"}


@pytest.mark.parametrize("count", [0, -1, 17])
def test_a_number_of_cards_that_no_pod_has_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=rf"gpu\.count is {count}; expected 1 to 16 cards\."):
        Gpu(product="Tesla-T4", count=count)


def test_slices_of_a_shared_card_are_not_several_cards() -> None:
    with pytest.raises(ConfigError, match=r"gpu\.count is 2; expected 1 with sharing=AtOnce"):
        replace(PAIR, sharing=AT_ONCE)


@pytest.mark.parametrize("device", ["CUDA0,CUDA1", "CUDA1", "none", None])
def test_another_device_than_the_models_cards_is_refused(device: str | None) -> None:
    llama_swap = LlamaSwapSettings(server=ServerSettings(device=device))
    with pytest.raises(ConfigError, match=r"device is .*; expected 'CUDA0' where gpu\.count is 2"):
        replace(PAIR, llama_swap=llama_swap)


BAD_CARDS: dict[str, tuple[tuple[tuple[int, ...], ...], Settings, str]] = {
    "a card that is not there": (
        ((0,), (2,), (1,)), PAIR,
        "model 'minicpm-v-4-5': cards is (2,); expected cards 0 to 1, as gpu.count is 2. ",
    ),
    "a second card where there is one": (
        ((0,), (0,), (1,)), SETTINGS,
        "model 'qwen3vl-4b': cards is (1,); expected card 0, as gpu.count is 1. Correct it, or ",
    ),
    "a split that the lock does not have": (
        ((0, 1), (0,), (1,)), PAIR,
        "--tensor-split 1,1 and 3072 tokens of context. Run `python -m ops lock`.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cards", "settings", "message"), BAD_CARDS.values(), ids=BAD_CARDS)
def test_cards_that_cannot_be_are_one_line(
    cards: tuple[tuple[int, ...], ...], settings: Settings, message: str
) -> None:
    assert message in refused(on(*cards), settings)


def test_a_variable_that_selects_cards_is_refused_where_there_are_several() -> None:
    env = {"CUDA_VISIBLE_DEVICES": "1"}
    models = (replace(REGISTRY[0], env=env), *REGISTRY[1:])
    Declaration.of(models).residents(SETTINGS.node)
    assert "env is 'CUDA_VISIBLE_DEVICES'; expected no variable" in refused(models, PAIR)


@pytest.mark.parametrize(
    ("front_end", "engine_build", "message"),
    [
        (
            "llama-server", 10524,
            "model 'qwen3vl-4b': cards is (1,); expected card 0 first with the front end "
            "llama-server: llama.cpp b10524 places every projector there. Use the front end ",
        ),
        (
            "llama-server", 11434,
            "residency: RESIDENCY is 'OneAtATime'; expected AsManyAsFit() with the front end "
            "llama-server and several cards",
        ),
    ],
)  # fmt: skip
def test_what_the_router_cannot_do_with_several_cards_is_one_line(
    front_end: FrontEndName, engine_build: int, message: str
) -> None:
    settings = replace(
        PAIR,
        front_end=front_end,
        engine_build=engine_build,
        llama_swap_image="registry/llama-swap@sha256:" + "0" * 64,
    )
    declaration = Declaration.of(on((0,), (0,), (1,)))
    locked = tuple(
        replace(it, memory=tuple(replace(at, engine_build=engine_build) for at in it.memory))
        for it in declaration.locked
    )
    with pytest.raises(ConfigError) as caught:
        replace(declaration, locked=locked).residents(settings.node)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cards": ()}, "cards is (); expected one or more different numbers"),
        ({"cards": (0, 0)}, "cards is (0, 0); expected one or more different numbers"),
        ({"cards": (-1,)}, "cards is (-1,); expected one or more different numbers"),
        ({"cards": 1}, "cards is 1; expected a tuple of whole numbers, such as (1,)."),
        ({"cards": (True,)}, "cards[0] is True; expected a whole number"),
        ({"tensor_split": (1, 1)}, "tensor_split is (1, 1); expected a whole number of at least"),
        ({"cards": (0, 1), "tensor_split": (1,)}, "tensor_split is (1,); expected a whole"),
        ({"cards": (0, 1), "tensor_split": (1, 0)}, "tensor_split is (1, 0); expected a whole"),
        (
            {"extra_args": ("--tensor-split", "1,1")},
            "extra_args is '--tensor-split'; expected a flag other than --tensor-split. Set the ",
        ),
        ({"extra_args": ("-ot", "x=CPU")}, "extra_args is '-ot'; expected a flag other than -ot"),
    ],
)
def test_bad_cards_of_a_model_are_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(REGISTRY[0], **fields)
    assert message in str(caught.value)
