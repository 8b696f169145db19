"""The command `doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ops.errors import OpsError
from ops.options import AsJson, OnlyPool, command_app
from ops.report.terminal import CONSOLE

app = command_app()


@app.command()
def doctor(
    in_cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Check the cluster of KUBE_CONFIG_PATH and KUBE_CTX and the database of "
            "PG_CONN_STR against stacks/production.py (default: the programs of this machine).",
            show_default=False,
        ),
    ] = False,
    pool: OnlyPool = None,
    as_json: AsJson = False,
) -> None:
    """List what this machine lacks; with --cluster, what the cluster and the database lack.

    Builds and changes nothing; Terraform may fetch its provider for a moment. Exit code: 0
    `make up`, `make test` and a deploy have what they need, 1 one of them does not, or an error.
    With --cluster: 0 nothing blocks a deploy, 1 something does, or it is not known.

    Example: `python -m ops doctor --cluster`
    """
    if pool is not None and not in_cluster:
        raise typer.BadParameter("--pool requires --cluster")
    errors = _examine_cluster(pool, as_json) if in_cluster else _examine_machine(as_json)
    if errors:
        raise OpsError(errors[0])


def _examine_machine(as_json: bool) -> tuple[str, ...]:
    from ops.commands.doctor import text
    from ops.commands.doctor.run import examine

    examination = examine()
    if as_json:
        typer.echo(json.dumps(text.as_json(examination), indent=2))
    else:
        text.show(CONSOLE, examination)
    return examination.errors


def _examine_cluster(pool: str | None, as_json: bool) -> tuple[str, ...]:
    from ops.commands.doctor.cluster import text
    from ops.commands.doctor.cluster.examine import examine
    from stacks.declared import load_settings, load_settings_of_pools

    load_settings_of_pools(pool)  # Before anything is asked: is there such a pool?
    examination = examine(load_settings(), pool)
    if as_json:
        typer.echo(json.dumps(text.as_json(examination), indent=2))
    else:
        text.show(CONSOLE, examination)
    return examination.errors
