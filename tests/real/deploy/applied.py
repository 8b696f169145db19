"""Helpers that apply any plan, for tests that are not about plans.

Each runs Terraform once; a plan that is saved, read and applied takes three runs.
"""

from __future__ import annotations

from ops.terraform.output import first_error
from ops.terraform.run import Terraform


def apply(terraform: Terraform) -> None:
    """Plan and apply, whatever the plan removes."""
    terraform.checked("apply", "-auto-approve", "-input=false", "-no-color", "-lock-timeout=60s")


def finds_changes(terraform: Terraform, *, lock: bool = True) -> bool:
    """Return whether a plan finds changes."""
    locking = "-lock-timeout=60s" if lock else "-lock=false"
    planned = terraform.run("plan", "-detailed-exitcode", "-input=false", "-no-color", locking)
    assert planned.returncode in (0, 2), first_error(planned.stdout + planned.stderr)
    return planned.returncode == 2
