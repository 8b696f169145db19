"""CUDA's compiled kernels: in the pod, or kept on the GPU node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.errors import ConfigError
from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]

CACHE = LocalSsdStorage(node="k8s-node1", path="/var/cache/cuda")
GPU = replace(SETTINGS.gpu, cuda_cache=CACHE)
VOLUME = "persistent_volume_v1.llama-cpp-cuda-cache"
CLAIM = "persistent_volume_claim_v1.cuda-cache"


@pytest.fixture
def kept(synth: Synth) -> dict[str, Json]:
    return resources(synth(gpu=GPU))


def variables(container: Json) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def in_bytes(quantity: str) -> int:
    assert quantity.endswith("Gi")
    return int(quantity.removesuffix("Gi")) << 30


def test_by_default_each_pod_compiles_its_own_kernels(
    deployed: dict[str, Json], container: Json, deployment: Json
) -> None:
    assert VOLUME not in deployed
    assert CLAIM not in deployed
    own = variables(container)
    (mount,) = [
        mount
        for mount in container["volume_mount"]
        if own["CUDA_CACHE_PATH"].startswith(f"{mount['mount_path']}/")
    ]
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volume"] if volume["name"] == mount["name"]]
    limit = volume["empty_dir"]["size_limit"]
    assert int(own["CUDA_CACHE_MAXSIZE"]) < in_bytes(limit)


def test_a_kept_cache_is_a_claim_of_a_local_volume(kept: dict[str, Json]) -> None:
    pod = kept["deployment_v1.llama-swap"]["spec"]["template"]["spec"]
    (container,) = pod["container"]
    own = variables(container)
    (mount,) = [
        mount
        for mount in container["volume_mount"]
        if mount["mount_path"] == own["CUDA_CACHE_PATH"]
    ]
    assert not mount.get("read_only")
    (volume,) = [volume for volume in pod["volume"] if volume["name"] == mount["name"]]
    claim = kept[CLAIM]
    # A hostPath would be refused by the Pod Security Standard `restricted`.
    assert volume["persistent_volume_claim"] == {"claim_name": claim["metadata"]["name"]}
    (spec,) = kept[VOLUME]["spec"]
    assert spec["persistent_volume_source"] == {"local": {"path": "/var/cache/cuda"}}
    (term,) = spec["node_affinity"]["required"]["node_selector_term"]
    assert term["match_expressions"] == [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-node1"]}
    ]
    assert spec["persistent_volume_reclaim_policy"] == "Retain"
    assert claim["spec"]["volume_name"] == "llama-cpp-cuda-cache"
    assert spec["storage_class_name"] == claim["spec"]["storage_class_name"] != ""
    # CUDA's documentation names 4 GiB as the largest value.
    assert int(own["CUDA_CACHE_MAXSIZE"]) <= 4 << 30
    assert int(own["CUDA_CACHE_MAXSIZE"]) < in_bytes(spec["capacity"]["storage"])


def test_a_cache_may_be_deleted(kept: dict[str, Json]) -> None:
    assert "lifecycle" not in kept[VOLUME]
    assert "prevent_destroy" not in kept[CLAIM]["lifecycle"]


def test_only_the_serving_pod_has_the_cache(kept: dict[str, Json]) -> None:
    others = [
        address
        for address, resource in kept.items()
        if address.startswith(("job_v1", "cron_job_v1")) and "cuda-cache" in str(resource)
    ]
    assert others == []


def test_the_cache_needs_the_node_of_the_models() -> None:
    storage = LocalSsdStorage(node="other", path="/srv/models")
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, gpu=GPU, storage=storage)
    assert str(caught.value).startswith(
        "settings: gpu.cuda_cache.node is 'k8s-node1'; expected the node of storage, which is "
        "other"
    )


@pytest.mark.parametrize("path", ["/var/cache/cuda/", "/var/cache", "/var/cache/cuda/models"])
def test_the_cache_is_beside_the_models_directory(path: str) -> None:
    storage = LocalSsdStorage(node="k8s-node1", path=path)
    with pytest.raises(ConfigError, match=r"gpu\.cuda_cache\.path is '/var/cache/cuda'"):
        replace(SETTINGS, gpu=GPU, storage=storage)
