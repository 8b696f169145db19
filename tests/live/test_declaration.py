"""This cluster's own declaration is valid, whatever its values are."""

from __future__ import annotations

from llama_swap_config.declaration import load
from ops.terraform.manifests import manifests
from ops.terraform.synth import synthesize
from stacks.production import PRODUCTION


def test_the_registry_is_locked_and_runs_in_production() -> None:
    load().residents(PRODUCTION.node)


def test_the_stack_is_synthesized_for_the_clusters_namespace() -> None:
    objects = manifests(synthesize().document)
    names = [each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"]
    assert names == [PRODUCTION.namespace]
