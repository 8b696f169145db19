"""The settings refuse a GPU node that Kubernetes would refuse, or that no pod could select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import Gpu, Taint
from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage
from llama_swap_config.errors import ConfigError

BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "product as nvidia-smi spells it": (
        lambda: Gpu(product="NVIDIA GeForce RTX 3090", usable_mib=24000),
        "gpu.product is 'NVIDIA GeForce RTX 3090'; expected the node's label nvidia.com/gpu.pro",
    ),
    "no selector": (
        lambda: Gpu(product="Tesla-T4", node_selector={}),
        "gpu.node_selector is {}; expected labels of the GPU node",
    ),
    "selector that is not a mapping": (
        lambda: Gpu(product="Tesla-T4", node_selector="gpu-box"),  # type: ignore[arg-type]
        "gpu.node_selector is 'gpu-box'; expected a mapping of text to text",
    ),
    "value that is not text": (
        lambda: Gpu(product="Tesla-T4", node_selector={"gpu": True}),  # type: ignore[dict-item]
        "gpu.node_selector.gpu is True; expected text",
    ),
    "key of a label": (
        lambda: Gpu(product="Tesla-T4", node_selector={"a b": "c"}),
        "gpu.node_selector is {'a b': 'c'}; expected a label",
    ),
    "host name with capitals": (
        lambda: Gpu(product="Tesla-T4", node_selector={"kubernetes.io/hostname": "Box"}),
        "gpu.node_selector is {'kubernetes.io/hostname': 'Box'}",
    ),
    "one taint that is not a tuple": (
        lambda: Gpu(product="Tesla-T4", taints=Taint(key="a")),  # type: ignore[arg-type]
        "gpu.taints is Taint(key='a', value='', effect='NoSchedule'); expected a tuple of "
        "Taint(...), such as (Taint(...),)",
    ),
    "taint as a string": (
        lambda: Gpu(product="Tesla-T4", taints=("nvidia.com/gpu",)),  # type: ignore[arg-type]
        "gpu.taints[0] is 'nvidia.com/gpu'; expected Taint(...)",
    ),
    "taint as kubectl writes it": (
        lambda: Taint(key="nvidia.com/gpu=present:NoSchedule"),
        "gpu.taints.key is 'nvidia.com/gpu=present:NoSchedule'; expected a key",
    ),
    "value of a taint": (lambda: Taint(key="a", value="b c"), "gpu.taints.value is 'b c'"),
    "effect of a taint": (
        lambda: Taint(key="a", effect="NoRun"),  # type: ignore[arg-type]
        "gpu.taints.effect is 'NoRun'; expected one of NoSchedule, PreferNoSchedule, NoExecute",
    ),
    "runtime class": (
        lambda: Gpu(product="Tesla-T4", runtime_class=""),
        "gpu.runtime_class is ''; expected the name of a RuntimeClass",
    ),
    "another card in the selector": (
        lambda: Gpu(product="Tesla-T4", node_selector={"nvidia.com/gpu.product": "NVIDIA-L4"}),
        "gpu.node_selector is {'nvidia.com/gpu.product': 'NVIDIA-L4'}; expected gpu.product",
    ),
    "resource of a quota": (
        lambda: Gpu(product="Tesla-T4", resource="requests.nvidia.com/gpu"),
        "gpu.resource is 'requests.nvidia.com/gpu'; expected a resource of the device plugin's",
    ),
    "cache on another node": (
        lambda: Gpu(
            product="Tesla-T4",
            node_selector={"kubernetes.io/hostname": "n1"},
            cuda_cache=LocalSsdStorage(node="n2", path="/var/cache/cuda"),
        ),
        "gpu.cuda_cache.node is 'n2'; expected 'n1', the node of gpu.node_selector",
    ),
    "cache on NFS": (
        lambda: Gpu(
            product="Tesla-T4",
            cuda_cache=NfsStorage(server="10.0.0.5", path="/a"),  # type: ignore[arg-type]
        ),
        "gpu.cuda_cache is NfsStorage(claim=None, ",
    ),
    "cache as a path": (
        lambda: Gpu(product="Tesla-T4", cuda_cache="/var/cache"),  # type: ignore[arg-type]
        "gpu.cuda_cache is '/var/cache'; expected LocalSsdStorage(",
    ),
    "resource without a domain": (
        lambda: Gpu(product="Tesla-T4", resource="gpu"),
        "gpu.resource is 'gpu'; expected an extended resource",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_gpu_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value).startswith(f"settings: {message}")
    assert "\n" not in str(caught.value)


def test_labels_without_a_value_are_accepted() -> None:
    Gpu(product="Tesla-T4", node_selector={"node-role.kubernetes.io/gpu": ""}, taints=())
