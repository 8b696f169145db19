"""`ops adopt` over what a Helm chart or kubectl has made, with a volume that the cluster made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.storage import ProvisionedStorage
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import manifests
from ops.terraform.run import Terraform
from tests.real.adopt.running import APPS, DEPLOYMENT, NAMESPACE, STORAGE, drop_state, running_pods
from tests.real.deploy.applied import finds_changes
from tests.real.embedded.shared_cluster import SharedCluster

Json = dict[str, Any]

OF_HELM = {
    "labels": {
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/instance": "home",
        "app.kubernetes.io/name": "llama-swap",
    },
    "annotations": {"meta.helm.sh/release-name": "home"},
}
SELECTOR = {"app.kubernetes.io/name": "llama-swap", "app.kubernetes.io/instance": "home"}
STORAGE_CLASS = "longhorn"


def _claim() -> Json:
    return {
        "storageClassName": STORAGE_CLASS,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "30Gi"}},
    }


def _deployment() -> Json:
    pod = {
        "containers": [
            {
                "name": "llama-swap",
                "image": "llama-swap",
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
                "volumeMounts": [{"name": "data", "mountPath": "/models"}],
            }
        ],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "home-models"}}],
    }
    return {
        "selector": {"matchLabels": SELECTOR},
        "template": {"metadata": {"labels": SELECTOR}, "spec": pod},
    }


OBJECTS: tuple[tuple[str, str, Json], ...] = (
    ("/api/v1/namespaces", "llama-cpp", {}),
    (f"{NAMESPACE}/persistentvolumeclaims", "home-models", {"spec": _claim()}),
    (
        f"{NAMESPACE}/services",
        "llama-swap",
        {"spec": {"selector": SELECTOR, "ports": [{"port": 8080}]}},
    ),
    (f"{NAMESPACE}/configmaps", "llama-swap", {"data": {"config.yaml": "models: {}"}}),
    (f"{APPS}/deployments", "llama-swap", {"spec": _deployment()}),
)
KEPT = tuple(f"{path}/{name}" for path, name, _ in OBJECTS[:-1])
CLUSTER_WIDE: tuple[tuple[str, str, Json], ...] = (
    (
        "/apis/storage.k8s.io/v1/storageclasses",
        STORAGE_CLASS,
        {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate"},
    ),
    (
        "/api/v1/persistentvolumes",
        "pvc-0a1b",
        {
            "spec": {
                "capacity": {"storage": "30Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": STORAGE_CLASS,
                "hostPath": {"path": "/made"},
            }
        },
    ),
)


@pytest.fixture
def api(cluster: EmbeddedCluster, shared_cluster: SharedCluster) -> Iterator[KubeApi]:
    """A cluster whose objects no state has."""
    drop_state(cluster.pg_conn_str)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as connected:
        yield connected
    shared_cluster.empty()


@pytest.fixture
def made(api: KubeApi, declare: Callable[..., None]) -> Iterator[KubeApi]:
    """The endpoint of a chart."""
    declare(storage=ProvisionedStorage(storage_class=STORAGE_CLASS, claim="home-models"))
    for path, name, body in (*CLUSTER_WIDE, *OBJECTS):
        marks = OF_HELM if (path, name, body) in OBJECTS else {}
        status, answer = api.request("POST", path, body | {"metadata": {"name": name} | marks})
        assert status == 201, answer
    until(lambda: phase(api, "home-models") == "Bound")
    yield api
    for path, name, _ in CLUSTER_WIDE:
        api.request("DELETE", f"{path}/{name}")


def phase(api: KubeApi, claim: str) -> str:
    found = api.get(f"{NAMESPACE}/persistentvolumeclaims/{claim}") or {}
    return str(found.get("status", {}).get("phase"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def uids(api: KubeApi) -> dict[str, str]:
    return {path: (api.get(path) or {})["metadata"]["uid"] for path in KEPT}


def test_a_release_of_helm_is_taken_over_with_its_claim(
    made: KubeApi, apart: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = uids(made)
    # Whoever types `deploy` first learns the name of the command.
    assert main(["deploy", "--yes"]) == 3
    refused = capfd.readouterr().err
    assert "exists already, without the label app.kubernetes.io/part-of=llama-cpp" in refused
    assert "`python -m ops adopt`" in refused
    assert uids(made) == before

    assert main(["adopt", "--yes"]) == 0

    output = capfd.readouterr()
    words = " ".join(output.out.split())
    assert words.count("Helm (home) manages") == 1
    assert "-n llama-cpp delete secret -l owner=helm,name=home" in words
    assert "the cluster deleted and made anew, and its pods restart: spec.selector" in words
    assert "copy of the state" not in output.out + output.err
    assert uids(made) == before
    assert phase(made, "home-models") == "Bound"
    config = made.get(f"{NAMESPACE}/configmaps/llama-swap") or {}
    assert "models: {}" not in config["data"].values()
    assert not finds_changes(Terraform(apart))


@pytest.mark.parametrize(
    "image", [None, "llama-swap:latest"], ids=["as declared", "another image"]
)
def test_a_pod_of_kubectl_restarts_only_if_the_preview_says_so(
    api: KubeApi,
    declare: Callable[..., None],
    synth: Callable[..., Json],
    kube: Cluster,
    capfd: pytest.CaptureFixture[str],
    image: str | None,
) -> None:
    """The selector is the declared one, so that the Deployment is not replaced."""
    del declare
    objects = manifests(synth(storage=STORAGE))
    for each in objects:
        del each["metadata"]["labels"]["app.kubernetes.io/part-of"]
        if each["kind"] == "Deployment" and image is not None:
            each["spec"]["template"]["spec"]["containers"][0]["image"] = image
    kube.apply(objects)
    until(lambda: "llama-swap" in running_pods(api))
    deployment, pod = (
        (api.get(DEPLOYMENT) or {})["metadata"]["uid"],
        running_pods(api)["llama-swap"],
    )

    assert main(["adopt", "--yes"]) == 0

    words = " ".join(capfd.readouterr().out.split())
    is_changed = image is not None
    assert (" fields set in place, and its pods restart" in words) is is_changed
    assert (api.get(DEPLOYMENT) or {})["metadata"]["uid"] == deployment
    assert (running_pods(api)["llama-swap"] != pod) is is_changed
