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


def test_the_serving_pod_takes_one_gpu_of_the_gpu_node(deployment: Json, container: Json) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert pod["toleration"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert pod["node_selector"] == {"nvidia.com/gpu.present": "true"}


def test_two_serving_pods_never_want_the_one_gpu(deployment: Json) -> None:
    assert deployment["spec"]["replicas"] == "1"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_memory_limit_holds_the_largest_model(
    container: Json, locked: tuple[LockedModel, ...]
) -> None:
    limit_gib = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert limit_gib * 2**30 > max(each.size_bytes for each in locked)


def test_a_crash_loop_cannot_fill_the_node(container: Json) -> None:
    assert container["resources"]["limits"]["ephemeral-storage"] == "4Gi"
    assert container["command"][2].startswith("ulimit -c 0; exec /app/llama-swap ")


def test_the_pod_restarts_exactly_when_its_configuration_changes(
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
    mounts = {each["name"]: each for each in container["volume_mount"]}
    assert mounts["config"] == {"mount_path": "/config", "name": "config", "read_only": True}
    assert mounts["models"]["read_only"] is True
    assert not [each for each in mounts.values() if each["mount_path"].startswith("/app")]


def test_home_and_the_cuda_cache_are_writable(container: Json) -> None:
    env = {each["name"]: each.get("value") for each in container["env"]}
    writable = [
        each["mount_path"] for each in container["volume_mount"] if not each.get("read_only")
    ]
    assert env["HOME"] in writable
    assert any(env["CUDA_CACHE_PATH"].startswith(f"{path}/") for path in writable)


def test_probes_ask_what_needs_no_key_and_loads_no_model(container: Json) -> None:
    for probe in ("startup_probe", "readiness_probe", "liveness_probe"):
        assert container[probe]["http_get"] == {"path": "/wol-health", "port": "http"}


def test_a_pod_that_ends_has_time_to_drain(deployment: Json, container: Json) -> None:
    pause_s = int(container["lifecycle"]["pre_stop"][0]["exec"]["command"][1])
    grace_s = deployment["spec"]["template"]["spec"]["termination_grace_period_seconds"]
    assert pause_s >= 5
    assert grace_s >= 45
    assert grace_s - pause_s > 35


def test_selectors_hold_nothing_that_a_release_changes(deployed: dict[str, Json]) -> None:
    expected = {
        "app.kubernetes.io/name": "llama-swap",
        "app.kubernetes.io/part-of": "llama-cpp",
    }
    deployment = deployed["deployment_v1.llama-swap"]["spec"]
    assert deployment["selector"]["match_labels"] == expected
    assert deployment["template"]["metadata"]["labels"] == expected
    assert deployed["service_v1.llama-swap"]["spec"]["selector"] == expected


def test_the_endpoint_is_where_its_consumers_look(deployed: dict[str, Json]) -> None:
    service = deployed["service_v1.llama-swap"]
    assert service["metadata"]["namespace"] == "llama-cpp"
    assert service["spec"]["type"] == "ClusterIP"
    assert [port["port"] for port in service["spec"]["port"]] == [8080]
