"""Take over an endpoint: an ordinary deploy, by another policy, after a copy of the state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from ops.cluster import environment
from ops.cluster.api import KubeApi
from ops.cluster.rollout import Outcome
from ops.commands.adopt.beside import workloads_beside
from ops.commands.adopt.preview import preview
from ops.commands.adopt.take_over import TakeOver
from ops.commands.deploy.run import deploy
from ops.errors import writing
from ops.machine.private_file import write_private
from ops.report.document import Document
from ops.report.terminal import Say
from ops.terraform.run import SavedPlan, Terraform
from ops.terraform.verdict import Verdict
from stacks.settings import Settings


def adopt(
    settings: Settings,
    *,
    show: Callable[[Document], None],
    approve: Callable[[], bool],
    policy: TakeOver,
    copies: Path,
    wait_s: float,
    say: Say,
) -> Outcome:
    """Show what would be taken over, copy the state, and deploy.

    Args:
        settings: The settings that the stack is synthesized from.
        show: Shows the preview of each plan, including a refused one. Terraform's own text is not
            shown: it has the values of the old endpoint's variables.
        approve: Returns whether to apply the plan shown last.
        policy: What is taken over.
        copies: The folder for copies of the state.
        wait_s: The longest wait, in seconds, for the endpoint to serve.
        say: Receives a line for the operator.

    Raises:
        RefusedError: when the policy refuses the plan; nothing was changed.
        OpsError: as for `deploy`, or when the copy cannot be written.
    """
    shown: list[tuple[SavedPlan, Verdict]] = []

    def show_it(plan: SavedPlan, verdict: Verdict) -> None:
        shown.append((plan, verdict))
        with KubeApi(environment.kube_target()) as api:
            beside = workloads_beside(api, policy.namespace, verdict.changes)
            show(preview(verdict, (*_old_code(plan, verdict), *beside)))

    def approve_and_copy() -> bool:
        if not approve():
            return False
        plan, verdict = shown[-1]
        if verdict.counts["forget"]:
            path = copy_state(plan.terraform, copies)
            say(f"a copy of the state is in {path}; it may have secrets")
        return True

    return deploy(
        settings,
        show=show_it,
        approve=approve_and_copy,
        policy=policy,
        wait_s=wait_s,
        say=say,
    )


def _old_code(plan: SavedPlan, verdict: Verdict) -> Iterator[str]:
    """Warn of the code whose state this is: it would remove what it does not declare."""
    if verdict.counts["forget"]:
        yield (
            f"The old code shares the state in schema {plan.terraform.schema}: its next "
            "`terraform apply` would destroy all of this, the namespace included. Let nobody and "
            "no pipeline run it again."
        )


def copy_state(terraform: Terraform, folder: Path) -> Path:
    """Write the state into a file that only its owner can read, named by lineage and serial.

    Raises:
        OpsError: when Terraform does not give it, or the file cannot be written.
    """
    text = terraform.checked("state", "pull")
    state = json.loads(text)
    path = folder / f"{terraform.schema}-{state['lineage'][:8]}-{state['serial']}.tfstate"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writing(path):
        write_private(path, text)
    return path
