"""The CronJob that restores tenants, and its service account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS
from in_pod.gpu_window.timing import Timing
from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.sharing import ByWindow
from tests.constructs.rights import allowed, roles
from tests.constructs.synthesized import modules, resources, unescaped
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]
Synth = Callable[..., Json]

PHOTOS = GpuTenant(namespace="photos", name="faces")
TEXTS = GpuTenant(namespace="photos", name="ocr")
MUSIC = GpuTenant(namespace="music", name="tagger")


def job(stack: Json) -> Json:
    """The spec of the CronJob's Job."""
    template: Json = stack["cron_job_v1.gpu-window-restore"]["spec"]["job_template"]
    spec: Json = template["spec"]
    return spec


def container(stack: Json) -> Json:
    (only,) = job(stack)["template"]["spec"]["container"]
    return dict(only)


def env(stack: Json) -> Json:
    return {
        variable["name"]: variable.get("value", variable.get("value_from"))
        for variable in container(stack)["env"]
    }


ACCOUNT = "gpu-window-restore"
LEASES = {
    ("llama-cpp", verb, "coordination.k8s.io/leases", "gpu-window")
    for verb in ("get", "update", "delete")
}


def scaling(namespace: str, *deployments: str) -> set[tuple[str, str, str, str]]:
    return {(namespace, "list", "pods", "*")}.union(
        *(
            {
                (namespace, "get", "apps/deployments", name),
                (namespace, "patch", "apps/deployments/scale", name),
            }
            for name in deployments
        )
    )


def test_the_account_has_only_the_rights_that_the_program_needs(production: Json) -> None:
    assert allowed(production, ACCOUNT) == (
        LEASES | scaling("llama-cpp", "llama-swap") | scaling("immich", "immich-machine-learning")
    )


def test_each_namespace_of_tenants_has_one_role(
    synth: Synth,
) -> None:
    document = synth(sharing=ByWindow(tenants=(PHOTOS, MUSIC, TEXTS)))
    assert allowed(document, ACCOUNT) == (
        LEASES
        | scaling("llama-cpp", "llama-swap")
        | scaling("photos", "faces", "ocr")
        | scaling("music", "tagger")
    )
    assert len(roles(document, ACCOUNT)) == 3


def test_the_pod_uses_the_account(deployed: Json) -> None:
    name = deployed["service_account_v1.gpu-window-restore"]["metadata"]["name"]
    assert job(deployed)["template"]["spec"]["service_account_name"] == name


def test_without_a_schedule_only_its_resources_are_missing(synth: Synth) -> None:
    document = synth(sharing=ByWindow(tenants=(PHOTOS,), restore_schedule=None), monitoring=None)
    assert not {
        kind for kind in document["resource"] if "role" in kind or "service_account" in kind
    }
    assert resources(document) == {
        name: each
        for name, each in resources(synth(monitoring=None)).items()
        if "gpu-window" not in name
    }


def test_the_program_runs_in_the_endpoints_namespace(
    synth: Synth,
) -> None:
    stack = resources(synth(namespace="vision"))
    data = stack["config_map_v1.gpu-window-restore"]["data"]
    shared = {f"kubernetes.{name}": text for name, text in modules("kubernetes").items()}
    assert unescaped(data) == modules("gpu_window") | shared
    only = container(stack)
    assert only["command"] == ["python3", "-m", "in_pod.gpu_window"]
    assert only["working_dir"] == "/gpu-window"
    assert only["args"][:2] == ["--namespace", "vision"]
    (mount,) = only["volume_mount"]
    assert (mount["mount_path"], mount["read_only"]) == ("/gpu-window", True)
    (volume,) = job(stack)["template"]["spec"]["volume"]
    assert volume["config_map"]["name"] == "gpu-window-restore"
    assert only["image"] == SETTINGS.python_image


def test_one_job_runs_at_a_time_and_for_a_limited_time(deployed: Json) -> None:
    spec = deployed["cron_job_v1.gpu-window-restore"]["spec"]
    assert spec["schedule"] == "*/5 * * * *"
    assert spec["concurrency_policy"] == "Forbid"
    assert 10 < spec["starting_deadline_seconds"] < 300
    assert spec["successful_jobs_history_limit"] == spec["failed_jobs_history_limit"] == 1
    timing = Timing()
    longest_s = timing.terminate_s + timing.ready_s + timing.patience_s
    assert job(deployed)["active_deadline_seconds"] == longest_s + 60


def test_the_program_is_told_what_it_may_change(synth: Synth, deployed: Json) -> None:
    assert container(deployed)["args"][2:] == [
        *("--tenant", "Deployment/immich/immich-machine-learning"),
        *("--queue", "smartSearch", "--queue", "faceDetection", "--queue", "ocr"),
    ]
    sets = replace(PHOTOS, kind="StatefulSet")
    stack = resources(synth(sharing=ByWindow(tenants=(sets, MUSIC))))
    tenants = ["--tenant", "StatefulSet/photos/faces", "--tenant", "Deployment/music/tagger"]
    assert container(stack)["args"][2:] == tenants
    rules = stack["role_v1.llama-cpp-gpu-window-restore"]["rule"]
    assert [(rule["resources"], rule.get("resource_names")) for rule in rules] == [
        (["statefulsets"], ["faces"]),
        (["statefulsets/scale"], ["faces"]),
        (["pods"], None),
    ]
    assert job(deployed)["backoff_limit"] == 1


def test_the_pod_may_run_on_any_node_without_a_gpu(deployed: Json) -> None:
    pod = job(deployed)["template"]["spec"]
    assert pod["toleration"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "node_selector" not in pod
    resources_of = container(deployed)["resources"]
    assert resources_of["limits"] == {"memory": "128Mi", "ephemeral-storage": "64Mi"}
    assert "nvidia.com/gpu" not in resources_of["requests"]


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param(
            ImmichQueues(url="http://immich:2283"),
            {"IMMICH_URL": "http://immich:2283"},
            id="without a key",
        ),
        pytest.param(
            ImmichQueues(url="http://immich:2283", api_key_secret="immich-admin"),
            {
                "IMMICH_URL": "http://immich:2283",
                "IMMICH_API_KEY": {
                    "secret_key_ref": {
                        "name": "immich-admin",
                        "key": "IMMICH_API_KEY",
                        # A Secret that is missing must not keep the Deployments down.
                        "optional": True,
                    }
                },
            },
            id="with a key",
        ),
    ],
)
def test_immichs_address_and_key_come_from_the_settings(
    queues: ImmichQueues | None, expected: Json, synth: Synth
) -> None:
    window = ByWindow(tenants=(MUSIC, replace(PHOTOS, queues=queues)))
    variables = env(resources(synth(sharing=window)))
    assert {name: value for name, value in variables.items() if "IMMICH" in name} == expected


def test_terraform_ignores_changes_of_the_endpoints_replicas(
    deployed: Json,
) -> None:
    deployment = deployed["deployment_v1.llama-swap"]
    assert deployment["metadata"]["name"] == ENDPOINT_DEPLOYMENT
    assert deployment["spec"]["replicas"] == str(ENDPOINT_REPLICAS) == "1"
    assert deployment["lifecycle"] == {"ignore_changes": ["spec[0].replicas"]}
