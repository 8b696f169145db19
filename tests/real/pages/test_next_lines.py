"""What `make up` tells to type next, typed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ops.commands.serve import run as serve
from ops.embedded import cluster as embedded
from tests.real.pages.terminal import Terminal


@pytest.fixture
def printed(terminal: Terminal) -> Iterator[str]:
    """What `make up` printed in a new shell."""
    try:
        yield terminal.type("make up")
    finally:
        serve.stop(terminal.checkout / ".embedded")
        embedded.down(terminal.checkout / ".embedded", say=print)


def next_commands(printed: str) -> dict[str, str]:
    """The commands below "Next:", by what each is for."""
    _, _, lines = printed.partition("Next:\n")
    steps = (line.strip().partition(" # ") for line in lines.splitlines() if " # " in line)
    return {purpose: command.rstrip() for command, _, purpose in steps}


@pytest.mark.usefixtures("provider")
def test_each_printed_command_works_in_a_new_shell(terminal: Terminal, printed: str) -> None:
    (curl,) = (line.strip() for line in printed.splitlines() if line.startswith("  curl "))
    assert json.loads(terminal.type(curl))["choices"]
    commands = next_commands(printed)
    for purpose, begin, end, shown in (
        ("point kubectl, terraform and cdktf at this cluster", "", "&& kubectl get ns", "immich"),
        ("list the objects", "", "", "deployment.apps/llama-swap"),
        ("check the endpoint", "", "", "reachable     ok"),
        ("change a model", "EDITOR=cat\n", "", "REGISTRY"),
        ("show what the change does", "", "", "No change."),
        ("deploy it here", "", "", "deployed; the endpoint serves"),
        ("compare the volume with its lock", "", "", "present"),
        ("stop everything", "", "", "stopped kube-apiserver"),
    ):
        assert shown in terminal.type(f"{begin}{commands.pop(purpose)} {end}"), purpose
    assert not commands
    assert serve.find(terminal.checkout / ".embedded") is None
    assert embedded.find(terminal.checkout / ".embedded") is None
