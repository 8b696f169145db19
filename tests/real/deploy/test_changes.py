"""Changes of the stack, deployed over an earlier version with the real provider."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.storage import LocalSsdStorage
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.paths import object_path
from ops.commands.deploy.run import apply_as_shown
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import RefusedError
from ops.terraform.changes import kind_of
from ops.terraform.manifests import manifests
from ops.terraform.run import Terraform
from ops.terraform.verdict import NAMED_ONLY
from tests.declaration.settings import SETTINGS
from tests.ops.commands.deploy.changes import CHANGES, deployed_before
from tests.real.deploy.applied import apply, finds_changes
from tests.real.settled import until_settled

Json = dict[str, Any]
Synth = Callable[..., Json]

pytestmark = pytest.mark.usefixtures("running_provider")


class Stack:
    """One stack and its state; each test deploys one declaration of it over another."""

    def __init__(self, directory: Path, synth: Synth) -> None:
        self._directory = directory
        self._synth = synth
        self.terraform = Terraform(directory)
        self.document: Json = {}

    def declare(self, settings: Mapping[str, Any]) -> None:
        """Write the stack with these settings."""
        self.write(self._synth(**settings))

    def write(self, document: Json) -> None:
        """Write a synthesized stack."""
        del document["terraform"]["backend"]
        self.document = document
        (self._directory / "cdk.tf.json").write_text(json.dumps(document))

    def deploy(self) -> None:
        """Deploy what is written, as `ops deploy --yes` does."""
        apply_as_shown(
            self.terraform,
            show=lambda *_: None,
            approve=lambda: True,
            quiet=True,
            say=print,
        )

    def state(self) -> bytes:
        """The state, byte for byte; where no backend is named it is a file."""
        return (self._directory / "terraform.tfstate").read_bytes()


@pytest.fixture(scope="module")
def stack(
    cluster: EmbeddedCluster, synth: Synth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        stack = Stack(tmp_path_factory.mktemp("stack"), synth)
        stack.declare({})
        stack.terraform.init()
        apply(stack.terraform)
        yield stack


# Without a declaration of its own to begin with, a row begins with what another row deployed:
# tests/ops/terraform/test_verdict.py has each change alone.
@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if change.is_applied])
def test_a_change_is_answered_as_the_docs_say(name: str, stack: Stack) -> None:
    change = CHANGES[name]
    if change.before:
        stack.declare(change.before)
        apply(stack.terraform)
    before = stack.state()
    stack.declare(change.after)
    if not change.refused:
        stack.deploy()
        assert not finds_changes(stack.terraform)
        return
    with pytest.raises(RefusedError) as refused:
        stack.deploy()
    named = set(re.findall(r"(kubernetes_\w+)\.", str(refused.value)))
    if change.after.get("prevent_destroy") is False:
        # No other claim could bind a volume whose claim is gone.
        assert named == change.refused | {"kubernetes_persistent_volume_v1"}
    else:
        # Terraform breaks off at the first object that prevent_destroy guards: not all are named.
        assert named
        assert named <= change.refused
    assert stack.state() == before


def test_a_volume_that_pods_mount_can_be_replaced(stack: Stack) -> None:
    """Terraform once waited for ever for the claim, which goes after the last of those pods."""
    for storage in (LocalSsdStorage(node="k8s-node1", path="/srv/models"), SETTINGS.storage):
        stack.declare({"prevent_destroy": False, "storage": storage})
        apply(stack.terraform, with_volume_users=True)
        assert not finds_changes(stack.terraform)


def test_the_cuda_cache_is_removed_while_a_pod_mounts_it(
    stack: Stack, cluster: EmbeddedCluster
) -> None:
    """A claim stays until no pod mounts it, and Terraform waits for that."""
    cached = CHANGES["the CUDA cache on"].after
    stack.declare(cached)
    apply(stack.terraform)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as api:
        objects = manifests(stack.document)
        until_settled(api, objects)
        (claim,) = (made for made in map(object_path, objects) if made.endswith("/cuda-cache"))
        assert api.get(claim) is not None
        stack.declare({})
        apply(stack.terraform)
        assert api.get(claim) is None
    assert not finds_changes(stack.terraform)


def test_upgrade_from_the_previous_version_keeps_protected_objects(stack: Stack) -> None:
    stack.write(deployed_before())
    apply(stack.terraform)

    def uids() -> dict[str, str]:
        return {
            resource["type"]: resource["instances"][0]["attributes"]["metadata"][0]["uid"]
            for resource in json.loads(stack.state())["resources"]
            if kind_of(resource["type"]) in NAMED_ONLY
        }

    before = uids()
    assert len(before) == 3
    stack.declare({})
    stack.deploy()
    assert uids() == before
    assert not finds_changes(stack.terraform)
