"""The command `smoke`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.declaration import load_registry
from ops.endpoint.api_key import api_key
from ops.errors import OpsError, writing
from ops.options import AsJson, EndpointUrl, OnlyModels, choose, command_app
from ops.report import terminal
from ops.report.terminal import ASIDE, CONSOLE

app = command_app()


@app.command()
def smoke(
    url: EndpointUrl = None,
    model: OnlyModels = None,
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
    that was loaded before. Set LLAMA_API_KEY if the endpoint requires a key. Exit code: 0 every
    check passed, 1 a check failed or an error.

    Example: `python -m ops smoke --url http://127.0.0.1:8080 --model qwen3vl-4b`
    """
    registry = load_registry()
    models = choose({entry.id: entry for entry in registry}, model or ())
    if junit is not None and not junit.parent.is_dir():
        raise OpsError(f"{junit} cannot be written: {junit.parent} is not a directory")
    from ops.cluster.environment import check_cluster
    from ops.cluster.pod_log import serving_log
    from ops.cluster.port_forward import to_production
    from ops.commands.smoke import report
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
        address = stack.enter_context(to_production()) if url is None else url
        endpoint = stack.enter_context(Endpoint(address, key=api_key()))
        result = run(
            endpoint,
            registry=registry,
            models=models,
            key_declared=bool(settings.llama_swap.api_key_env),
            server=settings.llama_swap.server,
            engine_build=settings.engine_build,
            own_log=None if url is not None else lambda: serving_log(check_cluster(), settings),
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
