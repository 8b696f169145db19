"""What the operator reads after a deploy: objects, pods, endpoint, budget, what next."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llama_swap_config.lock import lock_models, read_lock
from llama_swap_config.registry import REGISTRY
from ops.kube import Workload
from ops.manifests import Manifest
from ops.up import Deployed
from stacks.settings import PRODUCTION


def show_deployed(console: Console, deployed: Deployed) -> None:
    """Show what `up` made."""
    _show_objects(console, deployed.objects)
    show_workloads(console, deployed.workloads)
    _show_models(console)
    service = f"{PRODUCTION.service}.{deployed.namespace}.svc.cluster.local:{PRODUCTION.port}"
    console.print(f"\nDeployed by {deployed.way}.", highlight=False)
    console.print(f"Endpoint in a real cluster: http://{service}/v1", highlight=False)
    console.print("Here the node is played by kwok: pods are scheduled, no container runs.")
    console.print("\nNext:", style="bold")
    for command, what in (
        ('eval "$(python -m ops env)"', "point kubectl, terraform and cdktf at this cluster"),
        (f"kubectl -n {deployed.namespace} get all", "look around"),
        ("$EDITOR llama_swap_config/registry.py", "change a model"),
        ("python -m ops plan", "see what that changes"),
        ("make up", "deploy it here; make down ends everything"),
    ):
        console.print(f"  {command:40} # {what}", highlight=False, soft_wrap=True)


def show_workloads(console: Console, workloads: Iterable[Workload]) -> None:
    """Show what runs, and what waits with its reason."""
    table = Table(box=None, pad_edge=False, title_justify="left", title="\nIn the cluster")
    for column in ("kind", "name", "state", "waits for"):
        table.add_column(column)
    for each in workloads:
        style = "green" if each.settled else "yellow"
        table.add_row(each.kind, each.name, Text(each.state, style=style), Text(each.reason))
    console.print(table)


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
    unique = {file.sha256: file.size_bytes for each in locked for file in each.files}
    total_gib = sum(unique.values()) / 2**30
    largest_gib = max(each.size_bytes for each in locked) / 2**30
    console.print(
        f"Budget: {total_gib:.1f} of {PRODUCTION.storage_size_gib} GiB on the volume; the largest "
        f"model loads {largest_gib:.1f} GiB of files for a card with "
        f"{PRODUCTION.gpu.usable_mib / 1024:.1f} GiB, one model at a time",
        highlight=False,
        soft_wrap=True,
    )
