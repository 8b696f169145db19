"""The command `smoke`."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llama_swap_config.declaration import load_consumers, load_registry
from ops.endpoint.api_key import KEY_VARIABLE, api_key
from ops.errors import OpsError, writing
from ops.options import AsJson, EndpointUrl, OnlyModels, choose, command_app
from ops.report import terminal
from ops.report.terminal import ASIDE, CONSOLE

if TYPE_CHECKING:
    from llama_swap_config.gateway.consumer import Consumer
    from stacks.settings import Settings

app = command_app()


@app.command()
def smoke(
    url: EndpointUrl = None,
    model: OnlyModels = None,
    consumer: Annotated[
        str | None,
        typer.Option(
            "--consumer",
            help="Ask the gateway as this consumer, whose key LLAMA_API_KEY holds (default: ask "
            "the endpoint itself).",
            show_default=False,
        ),
    ] = None,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights",
            help="Accept a wrong colour in the picture checks, for the random weights of `up` and "
            "`serve`.",
        ),
    ] = False,
    json_: AsJson = False,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", help="Also write JUnit XML to this file.", show_default=False),
    ] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout-s",
            min=0.1,
            help="Wait this many seconds for each answer, including the load of its model.",
        ),
    ] = 300,
) -> None:
    """Check a running endpoint: model list, API keys, and models' devices and answers.

    The endpoint must offer this working tree's models, and require an API key exactly if its
    settings declare one. Loads each model once, so other users wait; at the end loads the model
    that was loaded before. Set LLAMA_API_KEY if the endpoint requires a key. With --consumer,
    the gateway must offer exactly that consumer's models, and refuse other keys, models and
    paths. Exit code: 0 every check passed, 1 a check failed or an error.

    Example: `python -m ops smoke --url http://127.0.0.1:8080 --model qwen3vl-4b`
    """
    registry = load_registry()
    asking = None if consumer is None else _consumer(consumer)
    models = choose(
        {entry.id: entry for entry in registry if asking is None or entry.id in asking.models},
        model or (),
    )
    if junit is not None and not junit.parent.is_dir():
        raise OpsError(f"{junit} cannot be written: {junit.parent} is not a directory")
    from ops.cluster.environment import check_cluster
    from ops.cluster.pod_log import serving_log
    from ops.cluster.port_forward import to_production
    from ops.commands.smoke import report
    from ops.commands.smoke.as_consumer import run_as
    from ops.commands.smoke.run import run
    from ops.endpoint.client import Endpoint
    from ops.machine.signals import ended_by_signals
    from stacks.declared import load_settings

    settings = load_settings()
    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(line)
        terminal.warn(line)

    with ended_by_signals(), ExitStack() as stack:
        status = stack.enter_context(ASIDE.status("connecting to the endpoint"))
        if url is not None:
            address = url
        elif asking is None:
            address = stack.enter_context(to_production())
        else:
            address = stack.enter_context(_to_gateway(settings))
        endpoint = stack.enter_context(Endpoint(address, key=api_key()))
        if asking is not None:
            result = run_as(
                asking,
                endpoint,
                registry=registry,
                models=models,
                random_weights=random_weights,
                timeout_s=timeout_s,
                say=status.update,
            )
        else:
            result = run(
                endpoint,
                registry=registry,
                models=models,
                key_declared=bool(settings.llama_swap.api_key_env),
                server=settings.llama_swap.server,
                engine_build=settings.engine_build,
                own_log=None
                if url is not None
                else lambda: serving_log(check_cluster(), settings),
                random_weights=random_weights,
                timeout_s=timeout_s,
                say=status.update,
                warn=warn,
            )
    if json_:
        typer.echo(json.dumps(report.to_json(result, warnings), indent=2))
    else:
        report.show(CONSOLE, result)
    if junit is not None:
        with writing(junit):
            junit.write_text(report.to_junit(result), encoding="utf-8")
    if result.failed:
        raise OpsError(report.line_of(result.failed[0]))


def _consumer(name: str) -> Consumer:
    consumers = {consumer.name: consumer for consumer in load_consumers()}
    if name not in consumers:
        raise OpsError(
            f"--consumer is {name!r}; expected one of llama_swap_config/consumers.py: "
            f"{', '.join(consumers) or 'none'}"
        )
    if not api_key():
        raise OpsError(
            f"{KEY_VARIABLE} is not set; expected a key of consumer {name!r}, which `python -m "
            f"ops gateway keys new {name}` prints once"
        )
    return consumers[name]


def _to_gateway(settings: Settings) -> AbstractContextManager[str]:
    from llama_swap_config.gateway.settings import Gateway
    from ops.cluster.environment import check_cluster
    from ops.cluster.port_forward import to_service

    gateway = settings.gateway
    if not isinstance(gateway, Gateway):
        raise OpsError(
            "--url is missing; expected the gateway's address, http(s)://host:port: the stack of "
            "stacks/production.py does not deploy one"
        )
    return to_service(
        check_cluster(),
        namespace=settings.namespace,
        service=gateway.service,
        port=gateway.port,
        remedy="pass the gateway's address with --url",
    )
