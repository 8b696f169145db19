"""The command `smoke`."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
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
    from llama_swap_config.model import Model
    from stacks.settings import Settings

app = command_app()


@app.command()
def smoke(
    url: EndpointUrl = None,
    model: OnlyModels = None,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="Ask only the endpoint of this pool; with --url, the pool at that address "
            "(default: every pool; with --url, the first).",
            show_default=False,
        ),
    ] = None,
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
    if consumer is not None and pool is not None:
        raise typer.BadParameter("--pool cannot be combined with --consumer, who asks the gateway")
    from stacks.declared import load_settings_of_pools
    from stacks.pools import require_homes

    registry = load_registry()
    require_homes(registry, tuple(each.pool for each in load_settings_of_pools()))
    asking = None if consumer is None else _consumer(consumer)
    pools = load_settings_of_pools(pool)
    if url is not None or asking is not None:
        pools = pools[:1]
    served = {each.pool: _models_of(each, registry) for each in pools}
    offered = [
        entry
        for entry in registry
        if (entry.id in asking.models if asking else any(entry in its for its in served.values()))
    ]
    models = choose({entry.id: entry for entry in offered}, model or ())
    if junit is not None and not junit.parent.is_dir():
        raise OpsError(f"{junit} cannot be written: {junit.parent} is not a directory")
    from ops.cluster.environment import check_cluster
    from ops.cluster.pod_log import serving_log
    from ops.cluster.port_forward import to_endpoint
    from ops.commands.smoke import report
    from ops.commands.smoke.as_consumer import run_as
    from ops.commands.smoke.run import Result, run, unreachable
    from ops.endpoint.client import Endpoint
    from ops.machine.signals import ended_by_signals

    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(line)
        terminal.warn(line)

    def of_pool(settings: Settings, address: str) -> Result:
        with Endpoint(address, key=api_key()) as endpoint:
            return run(
                endpoint,
                registry=served[settings.pool],
                whose="in the registry"
                if served[settings.pool] == registry
                else f"of pool {settings.pool}",
                models=tuple(entry for entry in models if entry in served[settings.pool]),
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

    with ended_by_signals(), ExitStack() as stack:
        status = stack.enter_context(ASIDE.status("connecting to the endpoint"))
        if asking is not None:
            address = url or stack.enter_context(_to_gateway(pools[0]))
            endpoint = stack.enter_context(Endpoint(address, key=api_key()))
            result = run_as(
                asking,
                endpoint,
                registry=registry,
                models=models,
                random_weights=random_weights,
                timeout_s=timeout_s,
                say=status.update,
            )
            results = [result]
        elif url is not None:
            results = [of_pool(pools[0], url)]
        else:
            results = []
            target = check_cluster()
            for settings in pools:
                if not any(entry in served[settings.pool] for entry in models):
                    continue
                try:
                    name = settings.pool if len(pools) > 1 else pool
                    with to_endpoint(target, settings, pool=name) as address:
                        result = of_pool(settings, address)
                except OpsError as error:
                    if len(pools) == 1:
                        raise
                    result = unreachable(settings.url, str(error))
                results.append(result if len(pools) == 1 else replace(result, pool=settings.pool))
    if json_:
        typer.echo(json.dumps(report.to_json(results, warnings), indent=2))
    else:
        for result in results:
            report.show(CONSOLE, result)
    if junit is not None:
        with writing(junit):
            junit.write_text(report.to_junit(results), encoding="utf-8")
    failed = [report.line_of(check, result.pool) for result in results for check in result.failed]
    if failed:
        raise OpsError(failed[0])


def _models_of(pool: Settings, registry: tuple[Model, ...]) -> tuple[Model, ...]:
    """Return the models with a home in a pool; with one pool, models need not name it."""
    return tuple(model for model in registry if not model.pools or pool.pool in model.pools)


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
