"""A deploy in a process of its own, which a test ends in the middle of its apply."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console

from ops.cluster.environment import KubeTarget
from ops.commands.deploy.policy import Ordinary, Policy
from ops.commands.deploy.run import apply_as_shown, verify
from ops.machine.signals import ended_by_signals
from ops.report import on_terminal
from ops.report.document import Document
from ops.report.terminal import Say
from ops.terraform.run import SavedPlan, Terraform
from ops.terraform.verdict import Verdict
from tests.fakes.forked_program import CONTEXT

End = Literal["kill all", "kill terraform", "kill ops", "SIGINT", "SIGTERM", "SIGHUP"]
ENDS: tuple[End, ...] = ("kill all", "kill terraform", "kill ops", "SIGINT", "SIGTERM", "SIGHUP")
"""Power loss, no memory, no memory, Ctrl-C, a service that stops, a closed terminal."""


def deploy(
    directory: Path,
    target: KubeTarget,
    say: Say,
    *,
    policy: Policy | None = None,
    document: Callable[[Verdict], Document] | None = None,
) -> None:
    """Deploy what a directory has, as `ops deploy --yes` does.

    Args:
        directory: The stack's directory.
        target: The cluster.
        say: Receives a line for the operator.
        policy: What is removed, imported and refused (default: as `ops deploy` does).
        document: What is printed of each plan (default: nothing).
    """
    terraform = Terraform(directory)

    def show(_plan: SavedPlan, verdict: Verdict) -> None:
        if document is not None:
            on_terminal.show_plan(Console(width=200), document(verdict))

    with ended_by_signals():
        terraform.init_for_apply(say=say)
        apply_as_shown(
            terraform,
            target=target,
            show=show,
            approve=lambda: True,
            policy=policy or Ordinary(),
            quiet=True,
            say=say,
        )
        verify(terraform)


def start(
    directory: Path,
    target: KubeTarget,
    log: Path,
    environment: Mapping[str, str],
    *,
    policy: Policy | None = None,
) -> ForkServerProcess:
    """Start a deploy; what it prints goes to a file."""
    arguments = (directory, target, log, dict(environment), policy)
    process = CONTEXT.Process(target=_main, args=arguments)
    process.start()
    return process


def ending(pid: int, how: End) -> Callable[[], bool]:
    """Return what ends a deploy, and says whether the request in flight is still answered."""

    def end() -> bool:
        deploying = psutil.Process(pid)
        below = deploying.children(recursive=True)
        if how == "kill all":
            for each in (deploying, *below):
                each.kill()
            return False
        if how == "kill terraform":
            (terraform,) = deploying.children()
            terraform.kill()
            return False
        deploying.send_signal(
            signal.SIGKILL if how == "kill ops" else signal.Signals[how],
        )
        return True

    return end


def _main(
    directory: Path,
    target: KubeTarget,
    log: Path,
    environment: dict[str, str],
    policy: Policy | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("w", buffering=1) as written:
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)

        def say(line: str) -> None:
            written.write(f"{line}\n")

        deploy(directory, target, say, policy=policy)
