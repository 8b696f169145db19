"""`smoke` with several pools: each endpoint in turn, with the models that have a home there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ops.cli import main
from ops.errors import OpsError
from stacks.settings import Settings
from tests.declaration.pools import HOMES, HOUSED, NODES, POOLED, RTX3090, T4, TWO_CARDS
from tests.fakes.endpoint import FakeEndpoint
from tests.ops.commands.smoke.smoke_runs import fails

MODELS = {pool: tuple(name for name, homes in HOMES.items() if pool in homes) for pool in NODES}


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, FakeEndpoint]]:
    """An endpoint of each pool, behind a port-forward; one that is taken out is unreachable."""
    monkeypatch.setattr("stacks.production.PRODUCTION", POOLED)
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", HOUSED)
    monkeypatch.setattr("ops.cluster.environment.check_cluster", lambda: None)
    with ExitStack() as running:
        found = {
            pool: running.enter_context(FakeEndpoint(models=models))
            for pool, models in MODELS.items()
        }

        @contextmanager
        def to_endpoint(_target: None, settings: Settings, *, pool: str) -> Iterator[str]:
            assert pool == settings.pool
            if settings.pool not in found:
                raise OpsError(f"kubectl port-forward to {settings.namespace} fails")
            yield found[settings.pool].url

        monkeypatch.setattr("ops.cluster.port_forward.to_endpoint", to_endpoint)
        yield found


def test_each_model_is_asked_at_each_of_its_homes(
    endpoints: dict[str, FakeEndpoint], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    junit = tmp_path / "smoke.xml"
    assert main(["smoke", "--json", "--junit", str(junit)]) == 0
    assert {pool: tuple(fake.swaps) for pool, fake in endpoints.items()} == MODELS
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert [(each["pool"], each["url"], each["ok"]) for each in document["pools"]] == [
        (pool, fake.url, True) for pool, fake in endpoints.items()
    ]
    assert [suite.get("name") for suite in ET.parse(junit).getroot()] == [
        f"{pool}.{name}" for pool, models in MODELS.items() for name in ("endpoint", *models)
    ]


def test_pool_and_model_options_narrow(endpoints: dict[str, FakeEndpoint]) -> None:
    assert main(["smoke", "--model", "qwen3vl-8b"]) == 0
    assert {pool: fake.swaps for pool, fake in endpoints.items()} == {
        T4: ["qwen3vl-8b"],
        RTX3090: ["qwen3vl-8b"],
        TWO_CARDS: [],
    }
    assert endpoints[TWO_CARDS].paths == []
    assert main(["smoke", "--pool", TWO_CARDS, "--model", "qwen3vl-4b"]) == 0
    assert endpoints[TWO_CARDS].swaps == ["qwen3vl-4b"]


def test_one_pool_is_reported_as_a_cluster_with_one(
    endpoints: dict[str, FakeEndpoint], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--pool", RTX3090, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"url", "front_end", "consumer", "ok", "warnings", "checks"}
    assert document["url"] == endpoints[RTX3090].url


def test_an_unreachable_pool_does_not_hide_the_others(
    endpoints: dict[str, FakeEndpoint], capsys: pytest.CaptureFixture[str]
) -> None:
    del endpoints[RTX3090]
    assert main(["smoke"]) == 1
    shown = capsys.readouterr()
    assert shown.err == (
        "error: pool rtx3090: endpoint: reachable: kubectl port-forward to llama-cpp-rtx3090 "
        "fails\n"
    )
    assert f"pool rtx3090: {POOLED.url.replace('llama-cpp', 'llama-cpp-rtx3090')}" in shown.out
    assert endpoints[TWO_CARDS].swaps == list(MODELS[TWO_CARDS])


def test_without_a_cluster_no_pool_is_called_unreachable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stacks.production.PRODUCTION", POOLED)
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", HOUSED)
    monkeypatch.delenv("KUBE_CONFIG_PATH", raising=False)
    assert main(["smoke"]) == 1
    assert capsys.readouterr().err.startswith("error: KUBE_CONFIG_PATH is not set")


def test_a_model_whose_home_does_not_exist_is_refused(
    endpoints: dict[str, FakeEndpoint],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Otherwise no endpoint would be asked about it, and all others would be well."""
    homeless = (replace(HOUSED[0], pools=("a100",)), *HOUSED[1:])
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", homeless)
    assert main(["smoke"]) == 1
    assert capsys.readouterr().err.startswith("error: model 'qwen3vl-8b': pools is ('a100',); ")
    assert all(endpoint.paths == [] for endpoint in endpoints.values())


def test_an_address_is_of_the_first_pool_unless_another_is_named(
    endpoints: dict[str, FakeEndpoint], capsys: pytest.CaptureFixture[str]
) -> None:
    url = endpoints[TWO_CARDS].url
    assert fails(capsys, url) == (
        f"error: endpoint: models: missing: qwen3vl-8b; not of pool {T4}: minicpm-v-4-5"
    )
    assert main(["smoke", "--url", url, "--pool", TWO_CARDS]) == 0


def test_a_pool_that_is_not_there(
    endpoints: dict[str, FakeEndpoint], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--pool", "a100"]) == 1
    assert capsys.readouterr().err == (
        "error: --pool is 'a100'; expected one of t4, rtx3090, two-cards\n"
    )
    assert main(["smoke", "--pool", RTX3090, "--model", "minicpm-v-4-5"]) == 1
    assert "--model is 'minicpm-v-4-5'; expected one of qwen3vl-8b" in capsys.readouterr().err
    assert main(["smoke", "--pool", RTX3090, "--consumer", "n8n"]) == 2
    assert endpoints[RTX3090].paths == []
