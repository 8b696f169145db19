"""The stack in a real control plane: accepted under `restricted`, bound, scheduled, run once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from lightkube import Client, KubeConfig
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Node, PersistentVolumeClaim, Pod

from in_pod.kubernetes.pod_state import PodState, pod_state
from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster.api import KubeApi
from ops.cluster.rollout import follow
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.terraform.manifests import Manifest, manifests
from tests.declaration.settings import SETTINGS
from tests.real.settled import rollout, until_settled

NAMESPACE = "llama-cpp"


@pytest.fixture(scope="module")
def client(cluster: EmbeddedCluster) -> Iterator[Client]:
    config = KubeConfig.from_file(str(cluster.kubeconfig)).get(cluster.kube_context)
    with Client(config=config, trust_env=False) as connected:
        yield connected


@pytest.fixture(scope="module")
def applied(
    kube: Cluster, api: KubeApi, synth: Callable[..., dict[str, Any]]
) -> tuple[Manifest, ...]:
    assert isinstance(SETTINGS.sharing, ByWindow)
    # Every five minutes it would start a Job amid these tests.
    yearly = replace(SETTINGS.sharing, restore_schedule="0 0 1 1 *")
    objects = manifests(synth(sharing=yearly))
    kube.apply(objects)
    until_settled(api, objects)
    return objects


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_node_has_one_gpu(client: Client) -> None:
    node = client.get(Node, "k8s-node1")
    assert node.status is not None
    assert node.status.allocatable is not None
    assert node.status.allocatable["nvidia.com/gpu"] == "1"


@pytest.mark.usefixtures("applied")
def test_the_claim_is_bound_to_the_volume(client: Client) -> None:
    claim = client.get(PersistentVolumeClaim, "models", namespace=NAMESPACE)
    assert claim.status is not None
    assert claim.status.phase == "Bound"
    assert claim.spec is not None
    assert claim.spec.volumeName == "llama-cpp-models"


def test_serving_pod_is_on_the_gpu_node_and_the_job_is_complete(
    applied: tuple[Manifest, ...], api: KubeApi
) -> None:
    states = {each.kind: each.state for each in rollout(api, applied).look()}
    assert states == {
        "PersistentVolumeClaim": "Bound to llama-cpp-models",
        "Job": "Complete",
        "Deployment": "1 of 1 ready",
        "Pod": "Running on k8s-node1",
    }


def test_second_apply_restarts_nothing(
    applied: tuple[Manifest, ...], kube: Cluster, client: Client
) -> None:
    def uids() -> set[str]:
        pods = client.list(Pod, namespace=NAMESPACE)
        jobs = client.list(Job, namespace=NAMESPACE)
        return {str(pod.metadata and pod.metadata.uid) for pod in pods} | {
            str(job.metadata and job.metadata.uid) for job in jobs
        }

    before = uids()
    kube.apply(applied)
    time.sleep(1)
    assert uids() == before


def pod(name: str, applied: tuple[Manifest, ...]) -> Manifest:
    template = copy.deepcopy(applied[-1]["spec"]["template"])
    template["metadata"] = {"name": name, "namespace": NAMESPACE}
    made: Manifest = {"apiVersion": "v1", "kind": "Pod"} | template
    return made


def test_second_gpu_pod_waits_with_a_reason_until_the_first_ends(
    applied: tuple[Manifest, ...], kube: Cluster, api: KubeApi, client: Client
) -> None:
    def second() -> PodState:
        return pod_state(api.get(f"/api/v1/namespaces/{NAMESPACE}/pods/second") or {})

    kube.apply([pod("second", applied)])
    eventually(lambda: "Insufficient nvidia.com/gpu" in second().reason)
    assert second().state == "Pending"
    deployment = copy.deepcopy(applied[-1])
    deployment["spec"]["replicas"] = 0
    kube.apply([deployment])
    eventually(lambda: second().meaning == "ready")
    client.delete(Pod, "second", namespace=NAMESPACE)
    kube.apply([applied[-1]])
    until_settled(api, applied)


def test_unrestricted_pod_is_refused(applied: tuple[Manifest, ...], kube: Cluster) -> None:
    unrestricted = pod("unrestricted", applied)
    unrestricted["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(OpsError, match=r"refuses Pod unrestricted .*PodSecurity .restricted"):
        kube.apply([unrestricted])


def test_a_deployment_whose_pods_are_refused_is_reported(
    applied: tuple[Manifest, ...], kube: Cluster, api: KubeApi
) -> None:
    """Terraform calls it complete: the Deployment is accepted, but each of its pods is refused."""
    broken = copy.deepcopy(applied[-1])
    broken["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = False
    kube.apply([broken])
    (found,) = follow((rollout(api, applied),), wait_s=30, say=print).failed
    assert (found.kind, found.cause) == ("Deployment", "admission")
    assert "PodSecurity" in found.reason
    kube.apply([applied[-1]])
    until_settled(api, applied)
