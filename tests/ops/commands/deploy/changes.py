"""The changes of this stack's settings that docs/operating.md says a deploy's answer to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from llama_swap_config.cluster.pod_resources import Gpu
from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.cluster.storage import (
    LocalSsdStorage,
    NfsStorage,
    ProvisionedStorage,
)
from tests.conftest import ROOT
from tests.declaration.consumers import CONSUMERS
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import GATEWAY, WITH_KEY

_FIRST, *_OTHERS = REGISTRY
_IMAGE = f"example.org/other/image@sha256:{'ab' * 32}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Two declarations, as arguments of the fixture `synth`, and what is refused."""

    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    refused: frozenset[str] = field(default_factory=frozenset)
    """Resource types; none: the deploy goes through."""
    is_applied: bool = False
    """Whether the API server has a say beside the provider, so that a test applies it for real."""


_NAMESPACE = "kubernetes_namespace_v1"
_VOLUME = "kubernetes_persistent_volume_v1"
_CLAIM = "kubernetes_persistent_volume_claim_v1"
_CACHED = Gpu(
    product="Tesla-T4", cuda_cache=LocalSsdStorage(node="k8s-node1", path="/var/cache/cuda")
)
_BEHIND = {"gateway": GATEWAY, **WITH_KEY}

CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "a model is added": Change(before={"models": tuple(_OTHERS)}),
        "a model is removed": Change(is_applied=True, after={"models": tuple(_OTHERS)}),
        "a model's context": Change(
            after={"models": (replace(_FIRST, context=4096), *_OTHERS)},
        ),
        "the serving image": Change(after={"llama_swap_image": _IMAGE}),
        "the Python image": Change(after={"python_image": _IMAGE}),
        "the front end": Change(after={"front_end": "llama-server"}),
        "a larger volume": Change(is_applied=True, after={"storage_size_gib": 1000}),
        "a smaller volume": Change(is_applied=True, after={"storage_size_gib": 25}),
        "another NFS server or path": Change(
            after={"storage": NfsStorage(server="192.0.2.1", path="/srv/other")},
            refused=frozenset({_VOLUME}),
        ),
        "from NFS to the node's SSD": Change(
            is_applied=True,
            after={"storage": LocalSsdStorage(node="k8s-node1", path="/srv/models")},
            refused=frozenset({_VOLUME, _CLAIM}),
        ),
        "from NFS to a StorageClass": Change(
            is_applied=True,
            after={"storage": ProvisionedStorage(storage_class="longhorn")},
            refused=frozenset({_VOLUME, _CLAIM}),
        ),
        "the GPU window off": Change(is_applied=True, after={"sharing": Alone()}),
        "the GPU window on": Change(before={"sharing": Alone()}),
        "the upkeep off": Change(after={"upkeep": None}),
        "the warm-up off": Change(after={"warm_wait_s": None}),
        "who may connect": Change(after={"monitoring_namespaces": ("metrics",)}),
        "an API key is declared": Change(after=WITH_KEY),
        "a gateway on": Change(is_applied=True, before=WITH_KEY, after=_BEHIND),
        "a consumer's limit": Change(
            before=_BEHIND,
            after=_BEHIND | {"consumers": (replace(CONSUMERS[0], parallel_requests=1),)},
        ),
        "the gateway off": Change(is_applied=True, before=_BEHIND, after=WITH_KEY),
        "monitoring on": Change(is_applied=True, before={"monitoring": None}),
        "monitoring off": Change(is_applied=True, after={"monitoring": None}),
        "the Service renamed": Change(is_applied=True, after={"service": "endpoint"}),
        "prevent_destroy off": Change(after={"prevent_destroy": False}),
        "the namespace renamed": Change(
            is_applied=True,
            after={"namespace": "vision"},
            refused=frozenset({_NAMESPACE, _CLAIM}),
        ),
        "the namespace renamed, prevent_destroy off": Change(
            is_applied=True,
            before={"prevent_destroy": False},
            after={"namespace": "vision", "prevent_destroy": False},
            refused=frozenset({_NAMESPACE, _CLAIM}),
        ),
        # The last ones: of the rows after them each would remove the cache, and be refused.
        "the CUDA cache on": Change(is_applied=True, after={"gpu": _CACHED}),
        "the CUDA cache off": Change(
            is_applied=True, before={"gpu": _CACHED}, refused=frozenset({_VOLUME, _CLAIM})
        ),
    }
)


def deployed_before() -> dict[str, Any]:
    """The stack of 2026-11-27 as it was synthesized; its long texts are left out."""
    path = ROOT / "tests" / "deployed" / "2026-11-27.tf.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def documented() -> dict[str, str]:
    """Read the table of docs/operating.md: change -> what a deploy does."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    table = text.split("| change | a deploy |\n|---|---|\n")[1].split("\n\n")[0]
    rows = (line.strip("| ").split(" | ") for line in table.splitlines())
    return {change: outcome for change, outcome in rows}
