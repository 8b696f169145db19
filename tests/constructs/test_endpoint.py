"""The serving pod, its configuration and its Service."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.plans.warm import render_warm_plan
from tests.constructs.synthesized import modules

Json = dict[str, Any]


def test_the_pod_requests_one_gpu_of_the_gpu_node(deployment: Json, container: Json) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert pod["toleration"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "runtime_class_name" not in pod
    assert pod["node_selector"] == {"nvidia.com/gpu.present": "true"}


def test_the_old_pod_ends_before_the_new_one_starts(deployment: Json) -> None:
    assert deployment["spec"]["replicas"] == "1"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_memory_limit_covers_the_largest_model(
    container: Json, locked: tuple[LockedModel, ...]
) -> None:
    limit_gib = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert limit_gib * 2**30 > max(model.size_bytes for model in locked)


def test_the_pod_writes_no_core_files(container: Json) -> None:
    assert container["resources"]["limits"]["ephemeral-storage"] == "4Gi"
    first, *lines = container["command"][2].splitlines()
    assert first == "ulimit -c 0"
    assert any(line.startswith("/app/llama-swap -config ") for line in lines)


def test_the_checksum_changes_with_the_configuration(
    deployment: Json, locked: tuple[LockedModel, ...]
) -> None:
    config = render_llama_swap(locked, LlamaSwapSettings())
    files = {"warm-plan.json": render_warm_plan(locked), **modules("warm")}
    warm_up = json.dumps(files, sort_keys=True)
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "checksum/config": hashlib.sha256(config.encode()).hexdigest(),
        "checksum/warm-up": hashlib.sha256(warm_up.encode()).hexdigest(),
    }


def test_terraform_does_not_interpolate_the_configuration(
    deployed: dict[str, Json], locked: tuple[LockedModel, ...]
) -> None:
    text = deployed["config_map_v1.llama-swap"]["data"]["llama-swap.yaml"]
    assert "$${PORT}" in text
    assert not re.search(r"(?<!\$)\$\{", text)
    assert text.replace("$${", "${") == render_llama_swap(locked, LlamaSwapSettings())


def test_the_configuration_is_mounted_as_a_directory(container: Json) -> None:
    mounts = {mount["name"]: mount for mount in container["volume_mount"]}
    assert mounts["config"] == {"mount_path": "/config", "name": "config", "read_only": True}
    assert mounts["models"]["read_only"] is True
    assert not [mount for mount in mounts.values() if mount["mount_path"].startswith("/app")]


def test_home_and_the_cuda_cache_are_writable(container: Json) -> None:
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    writable = [
        mount["mount_path"] for mount in container["volume_mount"] if not mount.get("read_only")
    ]
    assert env["HOME"] in writable
    assert any(env["CUDA_CACHE_PATH"].startswith(f"{path}/") for path in writable)


def test_probes_use_the_health_path(container: Json) -> None:
    for probe in ("startup_probe", "readiness_probe", "liveness_probe"):
        assert container[probe]["http_get"] == {"path": "/wol-health", "port": "http"}


def test_the_grace_period_covers_pause_and_drain(deployment: Json, container: Json) -> None:
    pause_s = int(container["lifecycle"]["pre_stop"][0]["exec"]["command"][1])
    grace_s = deployment["spec"]["template"]["spec"]["termination_grace_period_seconds"]
    assert pause_s >= 5
    assert grace_s >= 45
    assert grace_s - pause_s > 35


def test_selectors_use_only_stable_labels(deployed: dict[str, Json]) -> None:
    expected = {
        "app.kubernetes.io/name": "llama-swap",
        "app.kubernetes.io/part-of": "llama-cpp",
    }
    deployment = deployed["deployment_v1.llama-swap"]["spec"]
    assert deployment["selector"]["match_labels"] == expected
    assert deployment["template"]["metadata"]["labels"] == expected
    assert deployed["service_v1.llama-swap"]["spec"]["selector"] == expected


def test_the_service_has_its_name_and_port(deployed: dict[str, Json]) -> None:
    service = deployed["service_v1.llama-swap"]
    assert service["metadata"]["namespace"] == "llama-cpp"
    assert service["spec"]["type"] == "ClusterIP"
    assert [port["port"] for port in service["spec"]["port"]] == [8080]
