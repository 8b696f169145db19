"""The command `drift`: compare what runs with what is declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llama_swap_config.lock.locked import LOCK_PATH
from ops.commands.drift.difference import SOURCES
from ops.errors import OpsError
from ops.options import (
    AsJson,
    AsMarkdown,
    EndpointUrl,
    LockPath,
    OnlyPool,
    check_one_format,
    command_app,
)
from ops.report.terminal import CONSOLE

app = command_app()


@app.command()
def drift(
    url: EndpointUrl = None,
    volume: Annotated[
        Path | None,
        typer.Option(
            "--volume",
            help="Compare the models' volume mounted in this directory (default: no volume).",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="Compare only this source: terraform, cluster, volume, server or gateway; "
            "repeatable (default: every source that a variable or an option enables).",
            show_default=False,
        ),
    ] = None,
    pool: OnlyPool = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
    lock: LockPath = LOCK_PATH,
    timeout_s: Annotated[
        float, typer.Option("--timeout-s", min=1, help="Wait this many seconds for each source.")
    ] = 180,
) -> None:
    """Compare the working tree with Terraform's state, the cluster, volume, server and gateway.

    PG_CONN_STR or PGHOST enables the source terraform; KUBE_CONFIG_PATH enables cluster, server
    (the running endpoint) and gateway (the consumers' keys); --url enables server; --volume
    enables volume. --url and --volume are of --pool, or of the first pool. Changes nothing and
    loads no model. Set LLAMA_API_KEY if the endpoint requires a key. Exit code: 0 no drift, 2
    drift, 1 an error or a source that does not answer.

    Example: `python -m ops drift --volume /mnt/llamacpp`
    """
    check_one_format(as_json=as_json, as_markdown=as_markdown)
    from ops.commands.drift import text
    from ops.commands.drift.declared import declare
    from ops.commands.drift.run import Ask
    from ops.commands.drift.run import drift as run
    from ops.machine.signals import ended_by_signals
    from stacks.declared import load_settings, load_settings_of_pools

    sources = tuple(name for name in SOURCES if name in (source or ()))
    for word in source or ():
        if word not in SOURCES:
            raise typer.BadParameter(f"--source is {word!r}; expected one of {', '.join(SOURCES)}")
    ask = Ask(sources=sources, url=url, volume=volume, timeout_s=timeout_s, pool=pool)
    ask.check()
    if pool is not None:
        load_settings_of_pools(pool)  # Refuses an unknown name before anything is asked.
    with ended_by_signals(), Console(stderr=True).status("rendering the declaration") as status:
        result = run(declare(load_settings(), lock), ask, say=status.update)
    if as_json:
        typer.echo(json.dumps(text.as_json(result), indent=2))
    elif as_markdown:
        typer.echo(text.as_markdown(result), nl=False)
    else:
        text.show(CONSOLE, result)
    if result.unreachable:
        lines = [f"{state.label} ({state.reason})" for state in result.unreachable]
        raise OpsError(f"not reached: {'; '.join(lines)}")
    raise typer.Exit(2 if result.differences else 0)
