"""The gateway of several pools: what it reads, and who may connect to whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from in_pod.exporter.contract import PORT
from in_pod.gateway.contract import CONFIG_FILE, POLICY_FILE
from in_pod.gateway.policy import PolicyError, read_policy
from llama_swap_config.cluster.labels import ENDPOINT, EXPORTER, GATEWAY
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.gateway import settings as gateway_types
from stacks.gateway_files import gateway_files
from stacks.pools import pools_of
from stacks.settings import Settings
from tests.declaration import settings as frozen
from tests.declaration.pools import (
    HOMES,
    HOUSED,
    POOLED,
    POOLED_DECLARATION,
    RTX3090,
    T4,
    TWO_CARDS,
)

Json = dict[str, Any]
Synth = Callable[..., Json]
FIRST = "llama-cpp"
NAMESPACES = {T4: FIRST, RTX3090: f"{FIRST}-{RTX3090}", TWO_CARDS: f"{FIRST}-{TWO_CARDS}"}
BEHIND = replace(POOLED, gateway=frozen.GATEWAY, **frozen.WITH_KEY)
SECOND, THIRD = POOLED.pools


def files(settings: Settings = BEHIND) -> dict[str, str]:
    assert settings.gateway is not None
    pools = pools_of(settings, POOLED_DECLARATION)
    return dict(gateway_files(pools, settings.gateway, POOLED_DECLARATION).config)


def entries(settings: Settings = BEHIND) -> list[Json]:
    listed: list[Json] = yaml.safe_load(files(settings)[CONFIG_FILE])["model_list"]
    return listed


def test_litellm_has_an_entry_for_each_home_in_the_declared_order() -> None:
    assert [
        (entry["model_name"], entry["litellm_params"]["order"], entry["model_info"]["id"])
        for entry in entries()
    ] == [
        (model, order, f"{pool}/{model}")
        for model, homes in HOMES.items()
        for order, pool in enumerate(homes, start=1)
    ]


def test_each_entry_has_the_address_the_front_end_and_the_timeout_of_its_pool() -> None:
    slow = LlamaSwapSettings(api_key_env=("KEY_GATEWAY",), health_check_timeout_s=900)
    router = replace(SECOND, front_end="llama-server", llama_swap=slow)
    settings = replace(BEHIND, pools=(router, THIRD))
    for entry in entries(settings):
        params, pool = entry["litellm_params"], entry["model_info"]["id"].split("/")[0]
        namespace = NAMESPACES[pool]
        assert params["api_base"] == f"http://llama-swap.{namespace}.svc.cluster.local:8080/v1"
        assert ("extra_headers" in params) == (pool == RTX3090)
        assert params["timeout"] == params["stream_timeout"] == (1200 if pool == RTX3090 else 600)
    document = yaml.safe_load(files(settings)[CONFIG_FILE])
    assert document["litellm_settings"]["request_timeout"] == 1200


def test_the_hooks_read_the_homes_and_the_memory_of_each_pool(tmp_path: Path) -> None:
    path = tmp_path / POLICY_FILE
    path.write_text(files()[POLICY_FILE])
    policy = read_policy(path)
    assert {name: model.homes for name, model in policy.models.items()} == HOMES
    assert {name: pool.endpoint.url for name, pool in policy.pools.items()} == {
        name: f"http://llama-swap.{namespace}.svc.cluster.local:8080"
        for name, namespace in NAMESPACES.items()
    }
    assert {pool.endpoint.state_url for pool in policy.pools.values()} == {
        f"http://exporter.{namespace}.svc.cluster.local:{PORT}/state"
        for namespace in NAMESPACES.values()
    }
    assert policy.pools[RTX3090].card.usable_mib == 23_900
    assert policy.pools[T4].card.tenants == ("immich/immich-machine-learning",)
    assert policy.pools[RTX3090].card.tenants == ()
    assert {name: set(pool.vram_mib) for name, pool in policy.pools.items()} == {
        name: {model for model, homes in HOMES.items() if name in homes} for name in NAMESPACES
    }


def test_the_hooks_know_which_card_each_model_of_a_pool_is_on(tmp_path: Path) -> None:
    models = tuple(
        replace(model, cards=(1,)) if model.id == "minicpm-v-4-5" else model for model in HOUSED
    )
    declaration = replace(
        POOLED_DECLARATION,
        locked=tuple(
            replace(locked, model=model)
            for locked, model in zip(POOLED_DECLARATION.locked, models, strict=True)
        ),
    )
    path = tmp_path / POLICY_FILE
    path.write_text(
        gateway_files(pools_of(BEHIND, declaration), frozen.GATEWAY, declaration).config[
            POLICY_FILE
        ]
    )
    two = read_policy(path).pools[TWO_CARDS]
    assert two.card.count == 2
    assert {model: set(mib) for model, mib in two.vram_mib.items()} == {
        "minicpm-v-4-5": {1},
        "qwen3vl-4b": {0},
    }
    (combination,) = two.card.combinations
    assert combination.choices == ((("qwen3vl-4b",),), (("minicpm-v-4-5",),))


def test_an_unknown_home_is_refused(tmp_path: Path) -> None:
    document = json.loads(files()[POLICY_FILE])
    document["models"]["qwen3vl-8b"]["homes"][0]["pool"] = "elsewhere"
    path = tmp_path / POLICY_FILE
    path.write_text(json.dumps(document))
    with pytest.raises(PolicyError, match="elsewhere"):
        read_policy(path)


@pytest.fixture(scope="module", params=[frozen.GATEWAY, frozen.EXISTING_GATEWAY])
def policies(request: pytest.FixtureRequest, synth: Synth) -> tuple[object, dict[str, Json]]:
    """The gateway, and the NetworkPolicies by namespace/name."""
    document = synth(
        HOUSED,
        pool=POOLED.pool,
        pools=POOLED.pools,
        gpu=POOLED.gpu,
        gateway=request.param,
        **frozen.WITH_KEY,
    )
    return request.param, {
        f"{it['metadata']['namespace']}/{it['metadata']['name']}": it["spec"]
        for it in document["resource"]["kubernetes_network_policy_v1"].values()
    }


def peers(rules: list[Json], direction: str) -> set[tuple[str | None, str | None, str]]:
    """The namespace, the component and the port of each peer, but for addresses."""
    found = set()
    for rule in rules:
        for peer in rule[direction]:
            if "ip_block" in peer:
                continue
            selector = peer.get("namespace_selector", {})
            names = list(selector.get("match_labels", {}).values())
            for expression in selector.get("match_expressions", ()):
                names += expression["values"]
            labels = peer.get("pod_selector", {}).get("match_labels", {})
            for port in rule["ports"]:
                for name in names or [None]:
                    found.add((name, labels.get("app.kubernetes.io/name"), port["port"]))
    return found


@pytest.mark.parametrize("pool", [RTX3090, TWO_CARDS])
def test_a_further_pool_admits_the_gateway_its_exporter_and_monitoring_alone(
    policies: tuple[object, dict[str, Json]], pool: str
) -> None:
    gateway, specs = policies
    gateway_peer = (FIRST, GATEWAY) if gateway is frozen.GATEWAY else ("litellm", None)
    for component, port, own in ((ENDPOINT, "8080", {EXPORTER}), (EXPORTER, str(PORT), set())):
        spec = specs[f"{NAMESPACES[pool]}/{component}-clients"]
        assert peers(spec["ingress"], "from") == {
            (*gateway_peer, port),
            ("monitoring", None, port),
            *((None, name, port) for name in own),
        }


def test_the_gateway_reaches_each_endpoint_and_exporter_and_nothing_else(
    policies: tuple[object, dict[str, Json]],
) -> None:
    gateway, specs = policies
    if not isinstance(gateway, gateway_types.Gateway):
        # Its own operator's namespace has policies of its own.
        assert f"{FIRST}/{GATEWAY}-egress" not in specs
        return
    named = {T4: None, **{name: NAMESPACES[name] for name in (RTX3090, TWO_CARDS)}}
    assert peers(specs[f"{FIRST}/{GATEWAY}-egress"]["egress"], "to") == {
        *((namespace, ENDPOINT, "8080") for namespace in named.values()),
        *((namespace, EXPORTER, str(PORT)) for namespace in named.values()),
        ("kube-system", None, "53"),
    }
    assert not [name for name in specs if name.endswith(f"/{GATEWAY}-egress")][1:]
