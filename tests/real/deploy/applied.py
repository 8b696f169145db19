"""Helpers that apply any plan, for tests that are not about plans."""

from __future__ import annotations

from ops.terraform.run import Terraform
from ops.terraform.verdict import judge


def apply(terraform: Terraform) -> None:
    """Plan and apply, whatever the plan removes."""
    with terraform.saved_plan() as plan:
        plan.apply(quiet=True)


def finds_changes(terraform: Terraform, *, lock: bool = True) -> bool:
    """Return whether a plan finds changes."""
    return bool(judge(terraform.changes(lock=lock)).planned)
