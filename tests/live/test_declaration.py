"""The repository's own registry, lock and settings are valid."""

from __future__ import annotations

from llama_swap_config.declaration import load
from ops.terraform.manifests import manifests
from ops.terraform.synth import synthesize
from stacks.production import PRODUCTION


def test_the_registry_is_locked_and_fits_the_node() -> None:
    load().residents(PRODUCTION.node)


def test_the_stack_synthesizes_with_the_clusters_namespace() -> None:
    objects = manifests(synthesize().document)
    names = [
        document["metadata"]["name"] for document in objects if document["kind"] == "Namespace"
    ]
    assert names == [PRODUCTION.namespace]
