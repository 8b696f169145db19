"""The exporter: its pod, its rights, and who may connect to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from in_pod.exporter.cluster import DOWNLOAD as PROGRAMS_DOWNLOAD
from in_pod.exporter.cluster import UPKEEP as PROGRAMS_UPKEEP
from in_pod.exporter.contract import PLAN_FILE, PORT
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.labels import DOWNLOAD, EXPORTER, UPKEEP
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.sharing import Alone, ByWindow
from tests.conftest import Synth
from tests.constructs.network_policies import admitted, egress, ingress, may_connect, namespaces
from tests.constructs.rights import allowed
from tests.constructs.synthesized import modules, pods, resources, unescaped
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, SETTINGS, WITH_KEY

Json = dict[str, Any]

FACES = GpuTenant(namespace="photos", name="faces", kind="StatefulSet")
TEXTS = GpuTenant(namespace="photos", name="ocr")
OWN = {
    ("llama-cpp", "list", "pods", "*"),
    ("llama-cpp", "list", "batch/jobs", "*"),
    ("llama-cpp", "get", "batch/cronjobs", "model-upkeep"),
    ("llama-cpp", "get", "coordination.k8s.io/leases", "gpu-window"),
}


@pytest.fixture(scope="module")
def deployed(production: Json) -> dict[str, Json]:
    return resources(production)


def container(document: Json) -> Json:
    (only,) = pods(document)[EXPORTER]["container"]
    return dict(only)


def test_the_account_reads_and_changes_nothing(production: Json, synth: Synth) -> None:
    tenant = ("immich", "get", "apps/deployments", "immich-machine-learning")
    assert allowed(production, EXPORTER) == OWN | {tenant}
    shared = synth(sharing=ByWindow(tenants=(FACES, TEXTS), restore_schedule=None))
    assert allowed(shared, EXPORTER) == OWN | {
        ("photos", "get", "apps/statefulsets", "faces"),
        ("photos", "get", "apps/deployments", "ocr"),
    }
    alone = synth(sharing=Alone())
    assert allowed(alone, EXPORTER) == OWN


def test_the_pod_is_small_and_runs_without_a_gpu(production: Json) -> None:
    pod, only = pods(production)[EXPORTER], container(production)
    assert only["image"] == SETTINGS.python_image
    assert only["resources"]["limits"]["memory"] == "64Mi"
    assert "nvidia.com/gpu" not in only["resources"]["requests"]
    assert "node_selector" not in pod
    assert "priority_class_name" not in pod
    assert only["command"] == ["python3", "-m", "in_pod.exporter"]
    assert only["args"] == [
        *("--url", "http://llama-swap.llama-cpp.svc.cluster.local:8080"),
        *("--plan", f"/exporter/{PLAN_FILE}"),
        *("--namespace", "llama-cpp"),
        *("--tenant", "Deployment/immich/immich-machine-learning"),
    ]


def test_it_carries_the_packages_that_it_imports(deployed: dict[str, Json]) -> None:
    data = unescaped(deployed[f"config_map_v1.{EXPORTER}"]["data"])
    plan = json.loads(data.pop(PLAN_FILE))
    assert data == {
        **modules("exporter"),
        **{
            f"{package}.{name}": text
            for package in ("gpu_window", "kubernetes")
            for name, text in modules(package).items()
        },
    }
    assert [model["id"] for model in plan["models"]] == [model.id for model in DECLARATION.models]


def test_the_plan_has_the_checksum_of_the_configuration_that_runs(
    deployed: dict[str, Json],
) -> None:
    plan = json.loads(unescaped(deployed[f"config_map_v1.{EXPORTER}"]["data"])[PLAN_FILE])
    template = deployed["deployment_v1.llama-swap"]["spec"]["template"]
    assert plan["config_sha256"] == template["metadata"]["annotations"]["checksum/config"]


def test_a_change_of_program_or_plan_restarts_it(synth: Synth, production: Json) -> None:
    def checksum(document: Json) -> str:
        template = resources(document)[f"deployment_v1.{EXPORTER}"]["spec"]["template"]
        found: str = template["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum(synth()) == checksum(production)
    assert checksum(synth(engine_build=SETTINGS.engine_build, front_end="llama-server")) != (
        checksum(production)
    )


def test_the_key_is_a_file_that_the_kubelet_renews(synth: Synth, production: Json) -> None:
    assert "--api-key-file" not in container(production)["args"]
    document = synth(**WITH_KEY)
    only = container(document)
    assert only["args"][-2:] == ["--api-key-file", "/api-key/api-key"]
    assert "env_from" not in only
    assert [variable["name"] for variable in only["env"]] == [
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
    ]
    (volume,) = [each for each in pods(document)[EXPORTER]["volume"] if each["name"] == "key"]
    assert volume["secret"] == {
        "secret_name": "llama-swap-keys",
        "items": [{"key": "KEY_GATEWAY", "path": "api-key"}],
    }
    (mount,) = [each for each in only["volume_mount"] if each["name"] == "key"]
    # A directory: the kubelet never updates a subPath.
    assert mount == {"name": "key", "mount_path": "/api-key", "read_only": True}


def test_prometheus_finds_it_by_annotations(synth: Synth, deployed: dict[str, Json]) -> None:
    template = deployed[f"deployment_v1.{EXPORTER}"]["spec"]["template"]
    annotations = {
        name: text
        for name, text in template["metadata"]["annotations"].items()
        if name.startswith("prometheus.io/")
    }
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(PORT),
        "prometheus.io/path": "/metrics",
    }
    without = resources(synth(monitoring=Monitoring(scrape_annotations=False)))
    metadata = without[f"deployment_v1.{EXPORTER}"]["spec"]["template"]["metadata"]
    assert not [name for name in metadata["annotations"] if name.startswith("prometheus")]


def test_scrapers_and_the_gateway_may_connect(synth: Synth) -> None:
    behind = dict(gateway=GATEWAY, **WITH_KEY)
    assert admitted(ingress(synth(**behind), EXPORTER)) == (["monitoring"], ["gateway"])
    behind = dict(gateway=EXISTING_GATEWAY, **WITH_KEY)
    spec = ingress(synth(**behind), EXPORTER)
    assert admitted(spec) == (["litellm", "monitoring"], [])
    assert [port["port"] for port in spec["ingress"][0]["ports"]] == [str(PORT)]


def test_it_may_connect_to_the_endpoint_and_the_api_server(synth: Synth) -> None:
    policy = egress(synth(api_server=("192.168.1.10:6443",)), EXPORTER)
    assert may_connect(policy, "192.168.1.10", 6443)
    assert not may_connect(policy, "192.168.1.11", 6443)
    assert not may_connect(policy, "1.1.1.1", 443)
    assert namespaces(policy) == ["kube-system"]
    (endpoint,) = [
        rule
        for rule in policy["egress"]
        if any("pod_selector" in peer and "namespace_selector" not in peer for peer in rule["to"])
    ]
    assert [port["port"] for port in endpoint["ports"]] == ["8080"]
    (peer,) = endpoint["to"]
    assert peer["pod_selector"]["match_labels"]["app.kubernetes.io/name"] == "llama-swap"


def test_without_monitoring_nothing_of_it_is_declared(
    synth: Synth, deployed: dict[str, Json]
) -> None:
    without = resources(synth(monitoring=None))
    assert not [name for name in without if "exporter" in name]
    changed = [name for name, each in without.items() if each != deployed[name]]
    assert changed == ["network_policy_v1.llama-swap-clients"]
    assert replace(SETTINGS, monitoring=None).state_url is None


def test_the_program_looks_for_the_jobs_that_the_stack_declares() -> None:
    assert (PROGRAMS_DOWNLOAD, PROGRAMS_UPKEEP) == (DOWNLOAD, UPKEEP)
