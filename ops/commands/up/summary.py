"""The summary of `up`: objects, workloads, models, budget, endpoint, and next steps."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from llama_swap_config.lock.stand_in import stand_in_problems
from ops.commands.deploy.shown import show_objects
from ops.commands.fit.run import fit_pool
from ops.commands.fit.text import node_line, share_of
from ops.commands.serve.ask import curl_command
from ops.commands.serve.run import Served
from ops.commands.up.gateway import ServedGateway
from ops.commands.up.run import Deployed
from ops.commands.weights.shown import show_weights
from ops.endpoint.api_key import KEY_VARIABLE
from ops.options import embedded_command
from ops.report.kubectl import kubectl
from ops.report.ops_command import here, ops_command
from ops.report.terminal import titled_table
from ops.terraform.manifests import Manifest
from stacks.pools import DeclaredPool


def show_deployed(console: Console, deployed: Deployed) -> None:
    """Print the results of `up`."""
    _show_objects(console, deployed.objects)
    show_objects(console, deployed.outcome.objects)
    first, *further = deployed.pools
    for pool in deployed.pools:
        title = f"Models of pool {pool.name}" if further else "Models"
        _show_models(console, title, pool)
    show_weights(console, deployed.store.status())
    _show_answers(console, deployed)
    console.print(f"\nDeployed with {deployed.way}.", highlight=False)
    console.print(f"Endpoint in a real cluster: {first.settings.url}/v1", highlight=False)
    for pool in further:
        serve = ops_command(f"serve --pool {pool.name}")
        console.print(
            f"Endpoint of pool {pool.name}: {pool.settings.url}/v1; `{serve}` serves its models "
            "on this machine",
            highlight=False,
            soft_wrap=True,
        )
    where = f", which serves pool {first.name} alone" if further else ""
    console.print(
        "In this cluster kwok simulates the node: pods are scheduled, but no container runs. A "
        f"port-forward to the pod ends at the front end above{where}.",
        soft_wrap=True,
    )
    if deployed.gateway is not None:
        _show_gateway(console, deployed.gateway, deployed.served)
    if deployed.monitoring is not None:
        prometheus = f"{deployed.monitoring.prometheus_url}/api/v1/query?query=llama_swap_up"
        console.print(f"\nPrometheus: {deployed.monitoring.prometheus_url}", highlight=False)
        console.print(
            f"  curl -s --noproxy 127.0.0.1 '{prometheus}'", highlight=False, soft_wrap=True
        )
    console.print("\nNext:", style="bold")
    for command, purpose in _next(deployed):
        console.print(f"  {command:40} # {purpose}", highlight=False, soft_wrap=True)


def _next(deployed: Deployed) -> Iterator[tuple[str, str]]:
    """Yield commands, each for a shell without this environment, and what it is for."""
    key = deployed.served.key
    with_key = f'{KEY_VARIABLE}="{key.in_shell}" ' if key else ""
    state_dir = deployed.cluster.state_dir
    activate = here(Path(sys.executable).with_name("activate"))
    yield (
        f'source {activate} && eval "$({embedded_command("env", state_dir)})"',
        "point kubectl, terraform and cdktf at this cluster",
    )
    yield kubectl("get all", namespace=deployed.pools[0].settings.namespace), "list the objects"
    smoke = ops_command(f"smoke --url {deployed.served.url} --random-weights")
    yield with_key + smoke, "check the endpoint"
    if deployed.gateway is not None:
        yield _smoke_as_consumer(deployed.gateway), "check the gateway as one of its consumers"
    if deployed.monitoring is not None:
        status = ops_command(f"status --url {deployed.monitoring.exporter_url}")
        yield status, "show models, swaps and card"
    yield "${EDITOR:-vi} llama_swap_config/registry.py", "change a model"
    if deployed.gateway is not None:
        yield "${EDITOR:-vi} llama_swap_config/consumers.py", "change who may ask which model"
    yield ops_command("plan"), "show what the change does"
    options = {"--gateway": deployed.gateway, "--monitoring": deployed.monitoring}
    up = " ".join(["up", *(option for option, part in options.items() if part is not None)])
    yield embedded_command(up, state_dir), "deploy it here"
    volume, lock = here(deployed.store.volume), here(deployed.store.lock_path)
    yield (
        ops_command(f"weights status {volume} --lock {lock}"),
        "compare the volume with its lock",
    )
    yield embedded_command("down", state_dir), "stop everything"


def _smoke_as_consumer(gateway: ServedGateway) -> str:
    consumer = gateway.consumers[0]
    smoke = ops_command(f"smoke --url {gateway.url} --consumer {consumer.name} --random-weights")
    return f'{KEY_VARIABLE}="{gateway.key(consumer).in_shell}" {smoke}'


def _show_answers(console: Console, deployed: Deployed) -> None:
    title = f"Answers about a picture, through {deployed.served.front_end}"
    numbers = ("swap", "answer")
    table = titled_table(title, "model", *numbers, "text", right=numbers)
    for answer in deployed.answers:
        table.add_row(
            answer.model,
            f"{answer.swap_s:.2f} s",
            f"{1000 * answer.answer_s:.0f} ms",
            Text(" ".join(answer.text.split())[:40]),
        )
    console.print(table)
    console.print(
        "These models are tiny and their weights are random: their answers mean nothing, and the "
        "times are those of a swap and a request, not of a real model.",
        soft_wrap=True,
    )
    console.print("\nTry it:", style="bold")
    console.print(f"  {curl_command(deployed.served)}", highlight=False, soft_wrap=True)


def _show_gateway(console: Console, gateway: ServedGateway, served: Served) -> None:
    table = titled_table("Consumers of the gateway", "consumer", "models", "key in")
    for consumer in gateway.consumers:
        file = gateway.key_files[consumer.name]
        table.add_row(consumer.name, ", ".join(consumer.models), here(file))
    console.print(table)
    console.print(f"\nThe gateway: {gateway.url}/v1", highlight=False, soft_wrap=True)
    for consumer, model in gateway.examples():
        door = replace(served, url=gateway.url, models=(model,), key=gateway.key(consumer))
        console.print(f"\nTry it as {consumer.name}:", style="bold", highlight=False)
        console.print(f"  {curl_command(door)}", highlight=False, soft_wrap=True)


def _show_objects(console: Console, objects: Iterable[Manifest]) -> None:
    table = titled_table("Objects", "kind", "name")
    for manifest in objects:
        names = (manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        table.add_row(manifest["kind"], "/".join(name for name in names if name))
    console.print(table)


def _show_models(console: Console, title: str, pool: DeclaredPool) -> None:
    models = pool.declaration.locked
    numbers = ("GiB", "context")
    table = titled_table(title, "model", "files", *numbers, right=numbers)
    for locked in models:
        table.add_row(
            locked.model.id,
            " + ".join(file.name for file in locked.files),
            f"{locked.size_bytes / 2**30:.2f}",
            str(locked.model.context),
        )
    console.print(table)
    console.print(f"Budget: {budget_line(pool)}", highlight=False, soft_wrap=True)
    for line in stand_in_problems(models):
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)


def budget_line(pool: DeclaredPool) -> str:
    """Return one line on the models' share of a pool's cards, volume and memory."""
    result = fit_pool(pool)
    models = ", ".join(f"{model.id} {model.vram.total_mib:.0f}" for model in result.models)
    sets = [" + ".join(resident.models) for resident in result.sets if resident.reachable]
    how = f"together {' or '.join(sets)}" if sets else "one at a time"
    return (
        f"{models} MiB of {share_of(result)}, {how}. {node_line(result)} `python -m ops fit` "
        "shows the terms."
    )
