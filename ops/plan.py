"""Show what a deploy would change, without changing anything."""

from __future__ import annotations

from ops import environment
from ops.synth import synthesize
from ops.terraform import Terraform


def plan(*, lock: bool) -> int:
    """Plan against state and cluster, the plan's text going straight to the terminal.

    Args:
        lock: Whether to hold the state's lock; a read-only database role cannot.

    Returns:
        0 without and 2 with changes, as Terraform's own -detailed-exitcode.

    Raises:
        OpsError: when a check fails or Terraform cannot plan.
    """
    environment.check_terraform()
    environment.check_postgresql()
    environment.check_cluster()
    terraform = Terraform(synthesize().directory)
    terraform.init()
    return terraform.plan(lock=lock)
