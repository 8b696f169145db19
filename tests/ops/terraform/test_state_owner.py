"""Which tool wrote a state, and what somebody is told who runs the other one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.terraform.program import Program, Tool
from ops.terraform.state_owner import OtherToolError, check_owner

BUILTIN = 'provider["terraform.io/builtin/terraform"]'


def program(tool: Tool) -> Program:
    return Program(path=Path("/opt") / tool, tool=tool, version="1.11.4")


def state(*providers: str) -> dict[str, Any]:
    return {"lineage": "x", "resources": [{"provider": provider} for provider in providers]}


def of(host: str, name: str = "hashicorp/kubernetes") -> str:
    return f'provider["{host}/{name}"]'


@pytest.mark.parametrize(
    ("tool", "host"),
    [("terraform", "registry.terraform.io"), ("tofu", "registry.opentofu.org")],
)
def test_its_own_state_is_used_without_a_word(tool: Tool, host: str) -> None:
    providers = (of(host), BUILTIN, f"module.nfs.{of(host)}.one")
    assert check_owner(state(*providers), program(tool), Path("out")) == ""


@pytest.mark.parametrize(
    ("tool", "other", "ours", "theirs"),
    [
        ("terraform", "OpenTofu", "registry.terraform.io", "registry.opentofu.org"),
        ("tofu", "Terraform", "registry.opentofu.org", "registry.terraform.io"),
    ],
)
def test_the_other_tools_state_is_refused_with_the_way_to_move_it(
    tool: Tool, other: str, ours: str, theirs: str
) -> None:
    # One resource is enough: a move by hand may have been left half done.
    providers = (of(ours), f"module.nfs.{of(theirs)}.one", of(theirs, "hashicorp/null"))
    with pytest.raises(OtherToolError) as caught:
        check_owner(state(*providers), program(tool), Path("out"))
    line = str(caught.value)
    assert f"{other} wrote this state (it has {theirs}/hashicorp/kubernetes)" in line
    assert f"To keep {other}, name it in TERRAFORM_BINARY_NAME" in line
    for name in ("hashicorp/kubernetes", "hashicorp/null"):
        command = f"/opt/{tool} state replace-provider {theirs}/{name} {ours}/{name}"
        assert f"`{command}`" in line


@pytest.mark.parametrize("providers", [(BUILTIN,), (of("registry.example.org"), BUILTIN), ("",)])
def test_a_state_without_a_telling_provider_is_said_to_be_unknown(
    providers: tuple[str, ...],
) -> None:
    note = check_owner(state(*providers), program("tofu"), Path("out"))
    assert note.startswith("the state does not tell whether Terraform or OpenTofu wrote it")


@pytest.mark.parametrize("empty", [{}, state()])
def test_an_empty_state_has_no_owner(empty: dict[str, Any]) -> None:
    assert check_owner(empty, program("tofu"), Path("out")) == ""
