"""The command `plan`: show what a merge would change."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.options import AsJson, AsMarkdown, check_one_format, command_app
from ops.report.terminal import ASIDE, CONSOLE, say

app = command_app()


@app.command()
def plan(
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            help="Compare with this git revision (default: the merge base with main or "
            "origin/main).",
            show_default=False,
        ),
    ] = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Also write plan.md, comment.md (below 60,000 bytes) and plan.json into this "
            "directory.",
            show_default=False,
        ),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Also show Terraform's plan against the cluster, without locking the state "
            "(needs PG_CONN_STR, KUBE_CONFIG_PATH and KUBE_CTX).",
        ),
    ] = False,
    rate_mb_s: Annotated[
        float,
        typer.Option(
            "--rate-mb-s", min=0.1, help="Estimate download times at this rate, in MB/s."
        ),
    ] = 50,
) -> None:
    """Show what merging the working tree would change: models, objects, downloads, VRAM.

    Compares it with --base, and without --refresh needs no cluster and no secret. Exit code: 0 no
    change, 2 changes, 1 an error.

    Example: `python -m ops plan --base origin/main --markdown`
    """
    from ops.commands.plan.as_json import as_json as to_json
    from ops.commands.plan.run import plan as run
    from ops.commands.plan.run import write_failure, write_report
    from ops.commands.plan.sections import document
    from ops.machine.signals import ended_by_signals
    from ops.report import markdown, on_terminal
    from ops.report.safe_text import redacted_line

    check_one_format(as_json=as_json, as_markdown=as_markdown)
    try:
        with ended_by_signals():
            comparison = run(
                ROOT,
                base=base,
                rate_mb_s=rate_mb_s,
                refresh=refresh,
                say=partial(say, console=ASIDE),
            )
    except OpsError as error:
        if report is not None:
            write_failure(report, error)
        raise
    whole = document(comparison)
    if report is not None:
        write_report(report, comparison, whole)
    if as_json:
        typer.echo(json.dumps(to_json(comparison), indent=2))
    elif as_markdown:
        typer.echo(markdown.as_markdown(whole), nl=False)
    else:
        on_terminal.show_plan(CONSOLE, whole)
    if comparison.problem is not None:
        raise OpsError(redacted_line(comparison.problem))
    raise typer.Exit(2 if comparison.differs else 0)
