"""Drift of three pools that Terraform deployed: each difference names its pool, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.cluster.storage import ProvisionedStorage, Storage
from ops.cluster.api import Document, KubeApi
from ops.commands.drift import text
from ops.commands.drift.declared import Declared, declared_of
from ops.commands.drift.run import Drift
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.run import Terraform
from tests.declaration.pools import (
    HOUSED,
    POOLED,
    POOLED_DECLARATION,
    RTX3090,
    T4,
    TWO_CARDS,
)
from tests.real.deploy import running_provider  # noqa: F401 - a fixture.
from tests.real.deploy.applied import apply
from tests.real.drift.asked import ask, lines, patch

pytestmark = pytest.mark.usefixtures("running_provider")

Synth = Callable[..., dict[str, Any]]
SETTINGS = replace(POOLED, sharing=Alone())


def three(synth: Synth, directory: Path) -> Declared:
    document = synth(
        HOUSED, pool=SETTINGS.pool, pools=SETTINGS.pools, gpu=SETTINGS.gpu, sharing=Alone()
    )
    (directory / "cdk.tf.json").write_text(json.dumps(document))
    return declared_of(SETTINGS, POOLED_DECLARATION, document, directory=directory)


@pytest.fixture(scope="module")
def declared(
    cluster: EmbeddedCluster, synth: Synth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Declared]:
    """Three pools, deployed by Terraform, each on its own node."""
    embedded.declare(cluster, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        patch.delenv("LLAMA_API_KEY", raising=False)
        whole = three(synth, tmp_path_factory.mktemp("app"))
        terraform = Terraform(whole.directory)
        terraform.init()
        terraform.push_empty_state()
        apply(terraform)
        yield whole


def config_map(pool: Declared) -> str:
    return f"/api/v1/namespaces/{pool.settings.namespace}/configmaps/llama-swap"


def test_a_deploy_of_three_pools_leaves_no_drift(declared: Declared) -> None:
    result = ask(declared)

    assert lines(result) == []
    assert [state.label for state in result.sources if state.state == "asked"] == [
        "terraform",
        f"cluster of {T4}",
        f"cluster of {RTX3090}",
        f"cluster of {TWO_CARDS}",
    ]


def test_a_change_by_hand_is_one_line_of_its_pool(declared: Declared, api: KubeApi) -> None:
    rtx3090 = declared.pools[1]
    right = rtx3090.program.config
    config = yaml.safe_load(right)
    cmd = config["models"]["qwen3vl-8b"]["cmd"]
    config["models"]["qwen3vl-8b"]["cmd"] = cmd.replace("--ctx-size 3072", "--ctx-size 4096")
    patch(
        api,
        config_map(rtx3090),
        {"data": {"llama-swap.yaml": yaml.safe_dump(config, sort_keys=False)}},
    )
    try:
        whole, other = ask(declared), ask(declared, pool=T4)
    finally:
        patch(api, config_map(rtx3090), {"data": {"llama-swap.yaml": right}})

    first, *others = lines(whole)
    assert first.startswith(
        "rtx3090: model qwen3vl-8b: --ctx-size is 4096 in the ConfigMap (kubectl-edit, "
    )
    assert ", 4096 in Terraform's refreshed state, 3072 declared (" in first
    assert all(line.startswith("rtx3090: Pod llama-swap-") for line in others), others
    assert lines(other) == []
    shown = text.as_json(whole)
    differs = {
        (row["pool"], row["name"]): row["cluster"] for row in shown["rows"] if row["declared"]
    }
    assert differs == {
        (T4, "qwen3vl-8b"): "ok",
        (T4, "qwen3vl-4b"): "ok",
        (RTX3090, "qwen3vl-8b"): "differs",
        (TWO_CARDS, "minicpm-v-4-5"): "ok",
        (TWO_CARDS, "qwen3vl-4b"): "ok",
    }


def test_an_object_that_is_gone_is_told_with_its_pool(declared: Declared, api: KubeApi) -> None:
    path = f"/api/v1/namespaces/{declared.pools[2].settings.namespace}/services/llama-swap"
    live: Document = api.get(path) or {}
    api.request("DELETE", path)
    try:
        (line,) = lines(ask(declared))
    finally:
        del live["metadata"]["resourceVersion"]
        api.request("POST", path.rpartition("/")[0], live)

    assert line.startswith(
        "two-cards: Service llama-swap: is absent in the cluster, absent in Terraform's refreshed "
        "state, declared ("
    )


def test_what_no_pool_declares_is_found_in_each_namespace(
    declared: Declared, api: KubeApi
) -> None:
    name = {"name": "left-over", "labels": {"app.kubernetes.io/part-of": "llama-cpp"}}
    labels = next(it for it in declared.objects if it["kind"] == "ConfigMap")["metadata"]["labels"]
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name | {"labels": labels}}
    path = f"/api/v1/namespaces/{declared.pools[1].settings.namespace}/configmaps"
    status, answer = api.request("POST", path, body)
    assert status == 201, answer
    try:
        (line,) = lines(ask(declared, "cluster"))
    finally:
        api.request("DELETE", f"{path}/left-over")

    assert line.startswith("rtx3090: ConfigMap left-over: is present in the cluster (")
    assert " -n llama-cpp-rtx3090 delete configmap left-over, or " in line


def with_storage_of_third(
    declared: Declared, synth: Synth, size_gib: int, storage: Storage | None = None
) -> Drift:
    """What the cluster shows if the third pool's volume is declared otherwise."""
    second, third = SETTINGS.pools
    third = replace(third, storage_size_gib=size_gib, storage=storage or third.storage)
    other = replace(SETTINGS, pools=(second, third))
    document = synth(HOUSED, pool=other.pool, pools=other.pools, gpu=other.gpu, sharing=Alone())
    whole = declared_of(other, POOLED_DECLARATION, document, directory=declared.directory)
    return ask(whole, "cluster")


def test_a_claim_keeps_its_first_size(declared: Declared, synth: Synth) -> None:
    result = with_storage_of_third(declared, synth, 50)

    (line,) = lines(result)
    assert line.startswith("two-cards: PersistentVolume llama-cpp-two-cards-models: spec.capacity")
    (ignored,) = [note for note in result.notes if "ignored: " in note]
    assert ignored.startswith(
        "cluster of two-cards: PersistentVolumeClaim models: spec.resources.requests.storage is "
        "40Gi in the cluster ("
    )


def test_a_claim_that_the_cluster_can_enlarge_is_set_again_in_its_pool_alone(
    declared: Declared, synth: Synth
) -> None:
    """The first pool's claim of the same name stays as it is: each has its own rules."""
    result = with_storage_of_third(declared, synth, 50, ProvisionedStorage())

    assert "spec.resources.requests.storage" in {
        difference.field
        for difference in result.differences
        if (difference.pool, difference.subject) == (TWO_CARDS, "PersistentVolumeClaim models")
    }
    assert not [note for note in result.notes if "ignored: " in note]


def test_the_gateway_is_not_of_a_further_pool(declared: Declared) -> None:
    result = ask(declared, "gateway", "cluster", pool=TWO_CARDS)

    assert [(state.label, state.state) for state in result.sources if state.state == "asked"] == [
        (f"cluster of {TWO_CARDS}", "asked")
    ]
    (gateway,) = [state for state in result.sources if state.source == "gateway"]
    assert gateway.reason == "it is of all pools: omit --pool"
