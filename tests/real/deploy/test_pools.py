"""Pools declared, changed and removed, deployed over each other with the real provider."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.model import Model
from ops.cluster.api import KubeApi
from ops.commands.deploy.policy import Ordinary, Policy
from ops.commands.deploy.run import apply_as_shown, verify
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import RefusedError
from ops.terraform.run import SavedPlan, Terraform
from ops.terraform.verdict import Verdict
from tests.declaration.pools import POOLED, RTX3090, T4, TWO_CARDS
from tests.declaration.registry import REGISTRY

Synth = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("running_provider")

HOMES = {"qwen3vl-8b": (T4, RTX3090), "minicpm-v-4-5": (T4,), "qwen3vl-4b": (T4, TWO_CARDS)}
"""Each model's home is the first pool, as before there were others."""


def housed(**moved: tuple[str, ...]) -> tuple[Model, ...]:
    homes = HOMES | {name.replace("_", "-"): pools for name, pools in moved.items()}
    return tuple(replace(model, pools=homes[model.id]) for model in REGISTRY)


_ORDINARY = Ordinary()


class Stack:
    """The stack and its state in PostgreSQL."""

    def __init__(self, directory: Path, synth: Synth) -> None:
        self._directory, self._synth = directory, synth
        self.terraform = Terraform(directory)

    def declare(self, models: tuple[Model, ...], *, pools: bool) -> None:
        """Write the stack, with the further pools or without them."""
        further = {"pool": T4, "pools": POOLED.pools} if pools else {}
        document = self._synth(models, gpu=POOLED.gpu, sharing=Alone(), **further)
        document["terraform"]["backend"]["pg"]["schema_name"] = "pools"
        (self._directory / "cdk.tf.json").write_text(json.dumps(document))

    def begin(self, models: tuple[Model, ...], *, pools: bool) -> None:
        """Deploy this, whatever an earlier test has left."""
        self.declare(models, pools=pools)
        self.deploy(Ordinary(named_only=()))

    def deploy(self, policy: Policy = _ORDINARY) -> dict[str, str]:
        """Deploy what is written; return the changed addresses, and how."""
        shown: list[Verdict] = []

        def show(_plan: SavedPlan, verdict: Verdict) -> None:
            shown.append(verdict)

        apply_as_shown(
            self.terraform,
            show=show,
            approve=lambda: True,
            policy=policy,
            quiet=True,
            say=print,
        )
        return {change.address: change.action for change in shown[-1].planned}


@pytest.fixture(scope="module")
def stack(
    cluster: EmbeddedCluster, synth: Synth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack whose cluster has a node for each pool."""
    embedded.declare(cluster, POOLED)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        stack = Stack(tmp_path_factory.mktemp("stack"), synth)
        stack.declare(REGISTRY, pools=False)
        stack.terraform.init_for_apply(say=print)
        yield stack


def namespaces(api: KubeApi) -> set[str]:
    found = (api.get("/api/v1/namespaces") or {})["items"]
    names = {namespace["metadata"]["name"] for namespace in found}
    return {name for name in names if name.startswith("llama-cpp")}


def uids(api: KubeApi) -> dict[str, str]:
    namespace = "/namespaces/llama-cpp"
    paths = {
        "Namespace": f"/api/v1{namespace}",
        "Volume": "/api/v1/persistentvolumes/llama-cpp-models",
        "Claim": f"/api/v1{namespace}/persistentvolumeclaims/models",
        "Deployment": f"/apis/apps/v1{namespace}/deployments/llama-swap",
    }
    found = {name: (api.get(path) or {})["metadata"]["uid"] for name, path in paths.items()}
    pods = api.get(f"/api/v1{namespace}/pods?labelSelector=app.kubernetes.io/name=llama-swap")
    return found | {"Pods": str(sorted(pod["metadata"]["uid"] for pod in (pods or {})["items"]))}


def test_new_pools_change_nothing_of_the_first_one(stack: Stack, api: KubeApi) -> None:
    stack.begin(REGISTRY, pools=False)
    before = uids(api)
    stack.declare(housed(), pools=True)
    changes = stack.deploy()
    of_first = {
        address.rpartition("_")[0]: how
        for address, how in changes.items()
        if ".pools_" not in address
    }
    # Prometheus's rules and Grafana's dashboard tell the pools apart.
    assert of_first == {
        "kubernetes_config_map_v1.monitoring-files_alerts": "update",
        "kubernetes_config_map_v1.monitoring-files_dashboard": "update",
    }
    assert {how for address, how in changes.items() if ".pools_" in address} == {"create"}
    assert uids(api) == before


def test_a_moved_model_changes_its_two_pools_only(stack: Stack, api: KubeApi) -> None:
    stack.begin(housed(), pools=True)
    before = uids(api)
    stack.declare(housed(minicpm_v_4_5=(TWO_CARDS,)), pools=True)
    changes = stack.deploy()
    assert not [address for address in changes if f"_{RTX3090}_" in address]
    assert {address.rpartition("_")[0] for address in changes if "_deployment_" in address} == {
        "kubernetes_deployment_v1.exporter",
        "kubernetes_deployment_v1.llama-swap",
        "kubernetes_deployment_v1.pools_two-cards_exporter",
        "kubernetes_deployment_v1.pools_two-cards_llama-swap",
    }
    replaced = {address.rpartition("_")[0] for address, how in changes.items() if how == "replace"}
    assert replaced == {
        "kubernetes_config_map_v1.model-download_plan",
        "kubernetes_config_map_v1.pools_two-cards_model-download_plan",
        "kubernetes_job_v1.model-download",
        "kubernetes_job_v1.pools_two-cards_model-download",
    }
    assert uids(api) | {"Pods": ""} == before | {"Pods": ""}


def test_pools_are_removed_by_name(stack: Stack, api: KubeApi) -> None:
    stack.begin(housed(), pools=True)
    before = uids(api)
    stack.declare(REGISTRY, pools=False)
    with pytest.raises(RefusedError) as refused:
        stack.deploy()
    assert "\n" not in str(refused.value)
    assert "Pass --allow-removal ADDRESS for each object that may go" in str(refused.value)
    addresses = tuple(re.findall(r"kubernetes_[\w.-]+", str(refused.value)))
    assert len(addresses) == 6
    assert namespaces(api) == {"llama-cpp", "llama-cpp-rtx3090", "llama-cpp-two-cards"}

    stack.deploy(Ordinary(allow_removal=addresses))
    verify(stack.terraform)
    assert namespaces(api) == {"llama-cpp"}
    assert uids(api) | {"Pods": ""} == before | {"Pods": ""}
