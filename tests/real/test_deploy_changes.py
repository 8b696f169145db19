"""Every change of our own stack, deployed over itself by the real provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ops.deploy import apply_as_shown
from ops.embedded import EmbeddedCluster
from ops.errors import RefusedError
from ops.terraform import Terraform
from ops.terraform_verdict import Verdict
from tests.deploy_changes import CHANGES
from tests.real.applied import finds_changes

Json = dict[str, Any]
Synth = Callable[..., Json]

pytestmark = pytest.mark.usefixtures("provider")


class Stack:
    """One stack and its state; each test deploys two declarations of it, one over the other."""

    def __init__(self, directory: Path, synth: Synth) -> None:
        self._directory = directory
        self._synth = synth
        self.terraform = Terraform(directory)

    def declare(self, settings: Mapping[str, Any]) -> None:
        """Write the stack with these settings."""
        document = self._synth(**settings)
        del document["terraform"]["backend"]
        (self._directory / "cdk.tf.json").write_text(json.dumps(document))

    def deploy(self, **arguments: Any) -> Verdict:
        """Deploy what is written, without asking; the value is what was shown."""
        shown: list[Verdict] = []
        apply_as_shown(
            self.terraform,
            show=lambda _, verdict: shown.append(verdict),
            approve=lambda: True,
            quiet=True,
            say=print,
            **arguments,
        )
        (verdict,) = shown
        return verdict


@pytest.fixture(scope="module")
def stack(
    cluster: EmbeddedCluster, synth: Synth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        found = Stack(tmp_path_factory.mktemp("stack"), synth)
        found.declare({})
        found.terraform.init()
        yield found


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_answered_as_the_docs_say(name: str, stack: Stack) -> None:
    change = CHANGES[name]
    stack.declare(change.before)
    stack.deploy(allow_removal={each.address for each in stack.terraform.changes()})
    before = stack.terraform.changes()
    stack.declare(change.after)
    if not change.refused:
        stack.deploy()
        assert not finds_changes(stack.terraform)
        return
    with pytest.raises(RefusedError) as refused:
        stack.deploy()
    for resource_type in change.refused:
        assert f"{resource_type}." in str(refused.value)
    stack.declare(change.before)
    assert stack.terraform.changes() == before
