"""Helpers that apply any plan, for tests that are not about plans.

Each runs Terraform once; a plan that is saved, read and applied takes three runs.
"""

from __future__ import annotations

from ops.terraform.output import first_error
from ops.terraform.run import Terraform


def apply(terraform: Terraform, *, with_volume_users: bool = False) -> None:
    """Plan and apply, whatever the plan removes.

    Args:
        terraform: The stack.
        with_volume_users: Whether the volume or its claim may be replaced, as in a deploy.
    """
    if with_volume_users:
        with terraform.saved_plan(with_volume_users=True) as plan:
            plan.apply(quiet=True)
        return
    terraform.checked("apply", "-auto-approve", "-input=false", "-no-color", "-lock-timeout=60s")


def finds_changes(terraform: Terraform, *, lock: bool = True) -> bool:
    """Return whether a plan finds changes."""
    locking = "-lock-timeout=60s" if lock else "-lock=false"
    planned = terraform.run("plan", "-detailed-exitcode", "-input=false", "-no-color", locking)
    assert planned.returncode in (0, 2), first_error(planned.stdout + planned.stderr)
    return planned.returncode == 2
