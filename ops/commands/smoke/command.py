"""The command `smoke`: does the endpoint do what we say it does?"""

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
            "--random-weights", help="The weights are stand-ins: ask for no colour by name."
        ),
    ] = False,
    json_: AsJson = False,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", help="Also write JUnit XML here.", show_default=False),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout-s", min=0.1, help="For one answer, a cold load included.")
    ] = 300,
) -> None:
    """Ask the running endpoint what it is for: lists, keys, and each model eight things.

    Each model is loaded once, which others who use the endpoint notice; afterwards the one is
    loaded that was before. Any --url is checked against this working tree: its registry, and
    whether its settings declare an API key, which is read from LLAMA_API_KEY. Exit code 1:
    something failed.

    Example: `python -m ops smoke --url http://127.0.0.1:8080 --model qwen3vl-4b`
    """
    registry = load_registry()
    models = choose({each.id: each for each in registry}, model or ())
    if junit is not None and not junit.parent.is_dir():
        raise OpsError(f"{junit} cannot be written: {junit.parent} is no directory")
    from ops.cluster.port_forward import to_production
    from ops.commands.smoke import report
    from ops.commands.smoke.run import run
    from ops.endpoint.client import Endpoint
    from ops.machine.signals import ended_by_signals
    from stacks.production import PRODUCTION

    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(line)
        terminal.warn(line)

    with ended_by_signals(), ExitStack() as stack:
        status = stack.enter_context(ASIDE.status("looking for the endpoint"))
        address = stack.enter_context(to_production()) if url is None else url
        endpoint = stack.enter_context(Endpoint(address, key=api_key()))
        result = run(
            endpoint,
            registry=registry,
            models=models,
            key_declared=bool(PRODUCTION.llama_swap.api_key_env),
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
