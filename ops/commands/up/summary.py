"""What the operator reads after a deploy: objects, pods, endpoint, budget, what next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from in_pod.download import size_text
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LockedModel, lock_models
from llama_swap_config.registry import REGISTRY, RESIDENCY
from ops.cluster.workloads import Workload
from ops.commands.deploy.terraform_document import terraform_document
from ops.commands.fit.run import fit
from ops.commands.fit.text import node_line
from ops.commands.serve.ask import curl_command
from ops.commands.up.run import Deployed
from ops.commands.weights.volume import VolumeStatus
from ops.endpoint.api_key import KEY_VARIABLE
from ops.report import on_terminal
from ops.report.terminal import CONSOLE
from ops.terraform.manifests import Manifest
from ops.terraform.run import SavedPlan
from ops.terraform.verdict import Verdict
from stacks.settings import PRODUCTION


def show_deployed(console: Console, deployed: Deployed) -> None:
    """Show what `up` made."""
    _show_objects(console, deployed.objects)
    show_workloads(console, deployed.workloads)
    _show_models(console)
    show_weights(console, deployed.store.status())
    _show_answers(console, deployed)
    service = f"{PRODUCTION.service}.{deployed.namespace}.svc.cluster.local:{PRODUCTION.port}"
    console.print(f"\nDeployed by {deployed.way}.", highlight=False)
    console.print(f"Endpoint in a real cluster: http://{service}/v1", highlight=False)
    console.print(
        "Here the node is played by kwok: pods are scheduled, no container runs. A port-forward "
        "to the pod ends at the front end above.",
        soft_wrap=True,
    )
    key = deployed.served.key
    with_key = f'{KEY_VARIABLE}="{key.in_shell}" ' if key else ""
    console.print("\nNext:", style="bold")
    for command, what in (
        ('eval "$(python -m ops env)"', "point kubectl, terraform and cdktf at this cluster"),
        (f"kubectl -n {deployed.namespace} get all", "look around"),
        (
            f"{with_key}python -m ops smoke --url {deployed.served.url} --random-weights",
            "check all that an endpoint has to do",
        ),
        ("$EDITOR llama_swap_config/registry.py", "change a model"),
        ("python -m ops plan", "see what that changes"),
        ("make up", "deploy it here; make down ends everything"),
        (
            f"python -m ops weights status {_here(deployed.store.volume)} "
            f"--lock {_here(deployed.store.lock_path)}",
            "the store against its lock",
        ),
    ):
        console.print(f"  {command:40} # {what}", highlight=False, soft_wrap=True)


def _here(path: Path) -> Path:
    """Say a path as one types it in this directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def show_terraform_plan(plan: SavedPlan, verdict: Verdict) -> None:
    """Show what an apply would do: Terraform's own text, then the headline and each object."""
    if verdict.planned:
        plan.show()
    on_terminal.show_plan(CONSOLE, terraform_document(verdict))


def show_workloads(console: Console, workloads: Iterable[Workload]) -> None:
    """Show what runs, and what waits with its reason."""
    table = Table(box=None, pad_edge=False, title_justify="left", title="\nIn the cluster")
    for column in ("kind", "name", "state", "waits for"):
        table.add_column(column)
    for each in workloads:
        style = "green" if each.settled else "yellow"
        table.add_row(each.kind, each.name, Text(each.state, style=style), Text(each.reason))
    console.print(table)


_STYLES = {"present": "green", "partial": "yellow", "missing": "yellow", "wrong": "red"}


def show_weights(console: Console, status: VolumeStatus) -> None:
    """Show a volume against the lock: each file, each model's link, and what nothing names."""
    table = Table(box=None, pad_edge=False, title_justify="left", title="\nWeights")
    for column in ("model", "file", "size", "state", ""):
        table.add_column(column, justify="right" if column == "size" else "left")
    for file in status.files:
        share = file.done_bytes / file.size_bytes
        state = f"partial, {100 * share:.1f} %" if file.state == "partial" else file.state
        table.add_row(
            file.model,
            file.name,
            size_text(file.size_bytes),
            Text(state, style=_STYLES[file.state]),
            Text(file.reason),
        )
    console.print(table)
    for model in status.models:
        if not model.published:
            console.print(f"{model.id}: {model.reason}", style="yellow", highlight=False)
    for path, size_bytes in status.unreferenced:
        what = size_text(size_bytes) if size_bytes else "a link"
        console.print(f"nothing names {path} ({what})", highlight=False, soft_wrap=True)
    console.print(
        f"{size_text(status.missing_bytes)} to download, {size_text(status.free_bytes)} free on "
        f"{status.volume}",
        highlight=False,
        soft_wrap=True,
    )


def _show_answers(console: Console, deployed: Deployed) -> None:
    title = f"\nAsked about a picture, through {deployed.served.front_end}"
    table = Table(box=None, pad_edge=False, title_justify="left", title=title)
    for column in ("model", "swap", "answer", "says"):
        table.add_column(column, justify="left" if column in ("model", "says") else "right")
    for each in deployed.answers:
        table.add_row(
            each.model,
            f"{each.swap_s:.2f} s",
            f"{1000 * each.answer_s:.0f} ms",
            Text(" ".join(each.text.split())[:40]),
        )
    console.print(table)
    console.print(
        "These models are tiny and their weights are random: what they say means nothing, and "
        "their times are those of the way to a model.",
        soft_wrap=True,
    )
    console.print("\nAsk it yourself:", style="bold")
    console.print(f"  {curl_command(deployed.served)}", highlight=False, soft_wrap=True)


def _show_objects(console: Console, objects: Iterable[Manifest]) -> None:
    table = Table(box=None, pad_edge=False, title_justify="left", title="\nObjects")
    table.add_column("kind")
    table.add_column("name")
    for each in objects:
        table.add_row(each["kind"], each["metadata"]["name"])
    console.print(table)


def _show_models(console: Console) -> None:
    locked = lock_models(REGISTRY, read_lock())
    table = Table(box=None, pad_edge=False, title_justify="left", title="\nModels")
    for column in ("model", "files", "GiB", "context"):
        table.add_column(column, justify="right" if column in ("GiB", "context") else "left")
    for each in locked:
        table.add_row(
            each.model.id,
            " + ".join(file.name for file in each.files),
            f"{each.size_bytes / 2**30:.2f}",
            str(each.model.context),
        )
    console.print(table)
    console.print(f"Budget: {budget_line(locked)}", highlight=False, soft_wrap=True)


def budget_line(locked: tuple[LockedModel, ...]) -> str:
    """Say what the models take of production's card, volume and memory."""
    found = fit(locked, RESIDENCY, PRODUCTION.node)
    each = ", ".join(f"{model.id} {model.vram.total_mib:.0f}" for model in found.models)
    sets = [" + ".join(of.models) for of in found.sets if of.reachable]
    how = f"together {' or '.join(sets)}" if sets else "one at a time"
    return (
        f"{each} MiB of {found.card.share}, {how}. {node_line(found)} `python -m ops fit` shows "
        "the terms."
    )
