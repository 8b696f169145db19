"""Show who holds the window, and who has the card."""

from __future__ import annotations

from in_pod.gpu_window.contract import RESTORE_COMMAND
from in_pod.gpu_window.declared import Declared
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Api
from in_pod.kubernetes.pods import replicas_of
from in_pod.kubernetes.workload import Workload
from ops.cluster.gpu_tenants import Holders, waiting
from ops.commands.window.holder import process_of
from ops.report.durations import clock, span
from ops.report.terminal import Say


def status(
    api: Api,
    declared: Declared,
    *,
    namespace: str,
    resource: str,
    say: Say,
    restore_command: str = RESTORE_COMMAND,
) -> None:
    """Show whether a window is open, what it will restore, and who has the card.

    Args:
        api: The API server.
        declared: The tenants of the settings.
        namespace: The endpoint's namespace.
        resource: The extended resource that the card is.
        say: Receives the lines.
        restore_command: The command that restores this window.
    """
    window = Window(api, namespace=namespace, say=say, restore_command=restore_command)
    if window.find():
        _show_window(window, say)
    else:
        say("no window is open")
    holders = Holders(api, resource).line()
    for workload in (*declared.tenants, window.endpoint):
        say(_workload(window, workload, resource, holders))


def _show_window(window: Window, say: Say) -> None:
    record = window.record
    left_s = record.deadline - window.now()
    end = f"{span(left_s)} left" if left_s > 0 else f"ended {span(-left_s)} ago"
    holder = window.holder or "nobody, but not everything is restored"
    say(f"held by {holder}, since {clock(window.acquired)}")
    say(f"until {clock(record.deadline)} ({end})")
    say(f"last heartbeat {span(window.silent_s)} ago{_owner(window)}")
    for tenant in () if record.given_back else record.tenants:
        say(f"to restore: {tenant}, replicas {tenant.replicas}, {tenant.ready} ready")
    for name in record.queues:
        say(f"to resume: Immich's queue {name}")


def _owner(window: Window) -> str:
    process = process_of(window.holder)
    if window.is_dead or (process is not None and not process.runs):
        return f"; its owner has ended: {window.restore_command}"
    return "" if process is None else f"; its owner, process {process.pid} of this machine, runs"


def _workload(window: Window, workload: Workload, resource: str, holders: str) -> str:
    document = window.read(workload)
    if document is None:
        return f"{workload} does not exist"
    ready = window.ready_pods(workload, document)
    line = f"{workload}: replicas {replicas_of(document)}, {ready} ready"
    if pods := waiting(window, workload, resource):
        line += f"; {pods} {'wait' if ', ' in pods else 'waits'} for the card"
        line += f", which {holders} holds" if holders else ""
    return line
