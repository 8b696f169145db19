"""Drift where there are several pools: what is asked of which, and how it is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from llama_swap_config import registry
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.commands.drift import gateway, text
from ops.commands.drift.declared import Declared, declared_of
from ops.commands.drift.difference import Look, merge
from ops.commands.drift.run import Ask, Drift, SourceState, drift
from ops.commands.drift.terraform import pool_of
from ops.commands.serve.local_store import LocalStore, fill_with_tiny_models
from ops.terraform.changes import ResourceChange, kind_of
from stacks import production
from tests.declaration.consumers import CONSUMERS
from tests.declaration.pools import (
    HOUSED,
    POOLED,
    POOLED_DECLARATION,
    RTX3090,
    T4,
    TWO_CARDS,
)
from tests.declaration.settings import EXISTING_GATEWAY, WITH_KEY
from tests.ops.commands.drift.findings import at, finding

Synth = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTRY", HOUSED)
    monkeypatch.setattr(production, "PRODUCTION", POOLED)
    for name in ("PG_CONN_STR", "PGHOST", "KUBE_CONFIG_PATH", "KUBE_CTX", "LLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A volume with the files of all models."""
    return fill_with_tiny_models(tmp_path_factory.mktemp("state"), say=print)


@pytest.fixture(scope="module")
def pooled(synth: Synth, store: LocalStore) -> Declared:
    document = synth(HOUSED, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu)
    return declared_of(
        POOLED,
        POOLED_DECLARATION,
        document,
        directory=store.volume.parent,
        lock_path=store.lock_path,
    )


def asked(declared: Declared, **how: Any) -> Drift:
    return drift(declared, Ask(**how), say=lambda _: None)


def reasons(result: Drift) -> dict[str, str]:
    return {state.label: state.reason for state in result.sources if state.reason}


def test_each_pool_has_its_own_objects_models_and_settings(pooled: Declared) -> None:
    assert [pool.pool for pool in pooled.pools] == [T4, RTX3090, TWO_CARDS]
    for pool in pooled.pools:
        (namespace,) = (it for it in pool.objects if it["kind"] == "Namespace")
        assert namespace["metadata"]["name"] == pool.settings.namespace
        assert set(pool.configuration.models) == {model.id for model in pool.models}
    assert pooled.consumers != pooled.all_consumers == CONSUMERS


def test_the_only_pool_is_chosen_by_its_name_too(declared: Declared, pooled: Declared) -> None:
    assert declared.chosen(None) == declared.chosen(declared.settings.pool) == (declared,)
    assert pooled.chosen(RTX3090) == (pooled.pools[1],)
    assert pooled.chosen(None) == pooled.pools


def test_the_only_pool_may_be_named(declared: Declared) -> None:
    assert declared.chosen("main") == declared.chosen(None) == (declared,)
    named = asked(declared, sources=("gateway",), pool="main")
    assert [state.label for state in named.sources] == [
        state.label for state in asked(declared, sources=("gateway",)).sources
    ]


def test_a_volume_is_of_the_first_pool_unless_one_is_named(
    pooled: Declared, store: LocalStore
) -> None:
    first = asked(pooled, volume=store.volume)
    assert {it.pool for it in first.differences} == {T4}
    assert "file minicpm-v-4-5" in {it.subject for it in first.differences}
    assert reasons(first)[f"volume of {RTX3090}"] == (
        "--volume is of pool t4; pass --pool rtx3090 to compare this one"
    )

    third = asked(pooled, volume=store.volume, pool=TWO_CARDS)
    assert {it.pool for it in third.differences} == {TWO_CARDS}
    assert "file qwen3vl-8b" in {it.subject for it in third.differences}
    assert all(
        f"weights prune {store.volume} --pool two-cards removes it" in it.remedy
        for it in third.differences
    )


def test_the_shared_volume_is_compared_with_what_the_pool_uses(
    pooled: Declared, store: LocalStore
) -> None:
    link = store.volume / "qwen3vl-4b"
    target = link.readlink()
    link.unlink()
    try:
        first = asked(pooled, volume=store.volume)
        sharing = asked(pooled, volume=store.volume, pool=RTX3090)
    finally:
        link.symlink_to(target)
    assert "model qwen3vl-4b" in {it.subject for it in first.differences}
    assert not any(it.subject.startswith("model ") for it in sharing.differences)
    assert f"volume of {RTX3090}: pool rtx3090 uses the volume of pool t4" in sharing.notes


def test_a_source_is_asked_pool_by_pool_and_an_unreachable_one_is_named(
    pooled: Declared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBE_CONFIG_PATH", "/nowhere")
    result = asked(pooled, sources=("cluster",))
    assert [state.label for state in result.unreachable] == [
        f"cluster of {pool.pool}" for pool in pooled.pools
    ]
    assert text.verdict(result).endswith(
        "not reached: cluster of t4, cluster of rtx3090, cluster of two-cards"
    )


def test_an_address_is_of_one_pool(pooled: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def look(declared: Declared, url: str | None, **_how: Any) -> Look:
        looked.append(f"{declared.pool} at {url}")
        return Look(findings=())

    monkeypatch.setattr("ops.commands.drift.server.look", look)
    url = "http://127.0.0.1:1"
    first = asked(pooled, url=url)
    asked(pooled, url=url, pool=RTX3090)
    assert looked == [f"{T4} at {url}", f"{RTX3090} at {url}"]
    assert reasons(first)[f"server of {TWO_CARDS}"].startswith("--url is of pool t4; ")


def test_the_gateway_has_the_keys_of_the_consumers_of_all_pools(
    synth: Synth, tmp_path: Path
) -> None:
    """One asks a model that the first pool does not serve."""
    settings = replace(POOLED, gateway=EXISTING_GATEWAY, **WITH_KEY)
    only = replace(CONSUMERS[0], models=("minicpm-v-4-5",))
    declaration = replace(POOLED_DECLARATION, consumers=(only,))
    whole = declared_of(
        settings,
        declaration,
        synth(HOUSED, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu),
        directory=tmp_path,
    )
    assert whole.consumers == ()
    api = SimpleNamespace(
        get=lambda path: {"metadata": {}, "data": {}} if "/secrets/" in path else None
    )

    found = gateway.look(whole, cast(KubeApi, api))

    assert [it.subject for it in found.findings] == ["consumer photo-poster"]


def change(type_: str, name: str, namespace: str = "") -> ResourceChange:
    return ResourceChange(
        address=f"{type_}.x",
        type=type_,
        namespace=namespace,
        name=name,
        action="delete",
        before={},
        after={},
        replace_paths=(),
    )


@pytest.mark.parametrize(
    ("changed", "pool"),
    [
        (change("kubernetes_service_v1", "llama-swap", "llama-cpp-rtx3090"), RTX3090),
        (change("kubernetes_service_v1", "left-over", "llama-cpp-rtx3090"), RTX3090),
        (change("kubernetes_service_v1", "llama-swap", "llama-cpp"), T4),
        (change("kubernetes_namespace_v1", "llama-cpp-two-cards"), TWO_CARDS),
        (change("kubernetes_persistent_volume_v1", "llama-cpp-two-cards-models"), TWO_CARDS),
        (change("kubernetes_persistent_volume_v1", "llama-cpp-models"), T4),
        (change("kubernetes_role_v1", "anything", "immich"), T4),
    ],
    ids=lambda it: f"{kind_of(it.type)} {it.name}" if isinstance(it, ResourceChange) else it,
)
def test_a_change_of_terraform_is_of_the_pool_whose_object_it_is(
    pooled: Declared, changed: ResourceChange, pool: str
) -> None:
    assert pool_of(pooled, changed).pool == pool


@pytest.fixture
def result() -> Drift:
    """One model that differs in one of its two homes, and a consumer without a key."""
    differs = finding("model a", "ttl", at("1", "there"), at("2", "declared"))
    of_gateway = finding("consumer c", "keys", at("none", "there"), at("1", "declared"))
    return Drift(
        models=("a",),
        sources=(
            SourceState(source="terraform", state="not asked", reason="set PG_CONN_STR"),
            SourceState(source="cluster", state="asked", pool="one"),
            SourceState(source="cluster", state="unreachable", reason="dead", pool="two"),
            SourceState(source="gateway", state="asked"),
        ),
        differences=merge([("cluster", replace(differs, pool="one")), ("gateway", of_gateway)]),
        notes=(),
        pools={"one": ("a",), "two": ("a", "b")},
    )


def test_a_row_is_of_one_pool(result: Drift) -> None:
    console = Console(file=io.StringIO(), width=120)
    text.show(console, result)
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert rows[0] == ["pool", "declared", "terraform", "cluster", "gateway"]
    assert rows[1:6] == [
        ["one", "a", "yes", "not", "asked", "differs", "ok"],
        ["one", "everything", "else", "not", "asked", "ok", "differs"],
        ["two", "a", "yes", "not", "asked", "unreachable", "ok"],
        ["two", "b", "yes", "not", "asked", "unreachable", "ok"],
        ["two", "everything", "else", "not", "asked", "unreachable", "ok"],
    ]
    shown = console.file.getvalue()
    assert "cluster of two: unreachable: dead" in shown
    assert "one: model a: ttl is 1 there, 2 declared: do it" in shown
    assert "\nconsumer c: keys is none there" in shown


def test_the_json_names_the_pool_where_one_is_meant(result: Drift) -> None:
    document = json.loads(json.dumps(text.as_json(result)))
    assert [state.get("pool") for state in document["sources"]] == [None, "one", "two", None]
    assert [row["pool"] for row in document["rows"]] == ["one", "one", "two", "two", "two"]
    assert [difference.get("pool") for difference in document["differences"]] == ["one", None]


def test_two_homes_with_one_difference_are_two_differences() -> None:
    differs = finding("model a", "ttl", at("1", "there"), at("2", "declared"))
    merged = merge([("cluster", replace(differs, pool=pool)) for pool in ("one", "two")])
    assert [difference.pool for difference in merged] == ["one", "two"]


def test_an_unknown_pool_is_an_error_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drift", "--volume", str(tmp_path), "--pool", "t44"]) == 1
    assert capsys.readouterr().err == (
        "error: --pool is 't44'; expected one of t4, rtx3090, two-cards\n"
    )
