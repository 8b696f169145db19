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

from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster.workloads import Cluster, Workload
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.terraform.manifests import Manifest, manifests
from tests.declaration.settings import SETTINGS

NAMESPACE = "llama-cpp"


@pytest.fixture(scope="module")
def client(cluster: EmbeddedCluster) -> Iterator[Client]:
    config = KubeConfig.from_file(str(cluster.kubeconfig)).get(cluster.kube_context)
    with Client(config=config, trust_env=False) as connected:
        yield connected


@pytest.fixture(scope="module")
def applied(kube: Cluster, synth: Callable[..., dict[str, Any]]) -> tuple[Manifest, ...]:
    assert isinstance(SETTINGS.sharing, ByWindow)
    # Every five minutes it would start a Job amid these tests.
    yearly = replace(SETTINGS.sharing, restore_schedule="0 0 1 1 *")
    objects = manifests(synth(sharing=yearly))
    kube.apply(objects)
    workloads = kube.wait_until_settled(NAMESPACE, timeout_s=30, say=print)
    assert [workload for workload in workloads if not workload.settled] == []
    return objects


def eventually(kube: Cluster, condition: Callable[[tuple[Workload, ...]], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition(workloads := kube.workloads(NAMESPACE)):
        assert time.monotonic() < deadline, workloads
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


@pytest.mark.usefixtures("applied")
def test_serving_pod_is_on_the_gpu_node_and_the_job_is_complete(kube: Cluster) -> None:
    workloads = kube.workloads(NAMESPACE)
    states = {
        workload.kind: workload.state for workload in workloads if "llama-swap" in workload.name
    }
    assert states["Pod"] == "Running on k8s-node1"
    assert [workload.state for workload in workloads if workload.kind == "Job"] == ["Complete"]


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
    applied: tuple[Manifest, ...], kube: Cluster, client: Client
) -> None:
    def second(workloads: tuple[Workload, ...]) -> Workload:
        (workload,) = [workload for workload in workloads if workload.name == "second"]
        return workload

    kube.apply([pod("second", applied)])
    eventually(kube, lambda workloads: "Insufficient nvidia.com/gpu" in second(workloads).reason)
    assert second(kube.workloads(NAMESPACE)).state == "Pending"
    deployment = copy.deepcopy(applied[-1])
    deployment["spec"]["replicas"] = 0
    kube.apply([deployment])
    eventually(kube, lambda workloads: second(workloads).state == "Running on k8s-node1")
    client.delete(Pod, "second", namespace=NAMESPACE)
    kube.apply([applied[-1]])
    eventually(kube, lambda workloads: all(workload.settled for workload in workloads))


def test_unrestricted_pod_is_refused(applied: tuple[Manifest, ...], kube: Cluster) -> None:
    unrestricted = pod("unrestricted", applied)
    unrestricted["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(OpsError, match=r"refuses Pod unrestricted .*PodSecurity .restricted"):
        kube.apply([unrestricted])


def test_a_deployment_whose_pods_are_refused_is_reported(
    applied: tuple[Manifest, ...], kube: Cluster
) -> None:
    """Terraform calls it complete: the Deployment is accepted, but each of its pods is refused."""
    broken = copy.deepcopy(applied[-1])
    broken["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = False
    kube.apply([broken])
    eventually(
        kube,
        lambda workloads: any(
            workload.kind == "ReplicaSet" and "PodSecurity" in workload.reason
            for workload in workloads
        ),
    )
    kube.apply([applied[-1]])
    eventually(kube, lambda workloads: all(workload.settled for workload in workloads))
