"""What the operator reads after a deploy: objects, pods, endpoint, budget, what next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from llama_swap_config.declaration import Declaration, load
from llama_swap_config.fit.budget import Node
from ops.commands.deploy.shown import show_workloads
from ops.commands.fit.run import fit
from ops.commands.fit.text import node_line
from ops.commands.serve.ask import curl_command
from ops.commands.up.run import Deployed
from ops.commands.weights.shown import show_weights
from ops.endpoint.api_key import KEY_VARIABLE
from ops.report.terminal import titled_table
from ops.terraform.manifests import Manifest


def show_deployed(console: Console, deployed: Deployed) -> None:
    """Show what `up` made."""
    _show_objects(console, deployed.objects)
    show_workloads(console, deployed.workloads)
    _show_models(console, load(), deployed.settings.node)
    show_weights(console, deployed.store.status())
    _show_answers(console, deployed)
    settings = deployed.settings
    service = f"{settings.service}.{deployed.namespace}.svc.cluster.local:{settings.port}"
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


def _show_answers(console: Console, deployed: Deployed) -> None:
    title = f"Asked about a picture, through {deployed.served.front_end}"
    numbers = ("swap", "answer")
    table = titled_table(title, "model", *numbers, "says", right=numbers)
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
    table = titled_table("Objects", "kind", "name")
    for each in objects:
        table.add_row(each["kind"], each["metadata"]["name"])
    console.print(table)


def _show_models(console: Console, declaration: Declaration, node: Node) -> None:
    numbers = ("GiB", "context")
    table = titled_table("Models", "model", "files", *numbers, right=numbers)
    for each in declaration.locked:
        table.add_row(
            each.model.id,
            " + ".join(file.name for file in each.files),
            f"{each.size_bytes / 2**30:.2f}",
            str(each.model.context),
        )
    console.print(table)
    console.print(f"Budget: {budget_line(declaration, node)}", highlight=False, soft_wrap=True)


def budget_line(declaration: Declaration, node: Node) -> str:
    """Say what the models take of production's card, volume and memory."""
    found = fit(declaration.locked, declaration.residency, node)
    each = ", ".join(f"{model.id} {model.vram.total_mib:.0f}" for model in found.models)
    sets = [" + ".join(of.models) for of in found.sets if of.reachable]
    how = f"together {' or '.join(sets)}" if sets else "one at a time"
    return (
        f"{each} MiB of {found.card.share}, {how}. {node_line(found)} `python -m ops fit` shows "
        "the terms."
    )
