"""The command `doctor`."""

from __future__ import annotations

import json

import typer

from ops.errors import OpsError
from ops.options import AsJson, command_app
from ops.report.terminal import CONSOLE

app = command_app()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """List the programs that this repository can use, and whether this machine has them.

    Builds nothing; Terraform may fetch its provider for a moment. Exit code: 0 `make up`,
    `make test` and a deploy have what they need, 1 one of them does not, or an error.

    Example: `python -m ops doctor`
    """
    from ops.commands.doctor import text
    from ops.commands.doctor.run import examine

    examination = examine()
    if as_json:
        typer.echo(json.dumps(text.as_json(examination), indent=2))
    else:
        text.show(CONSOLE, examination)
    if examination.errors:
        raise OpsError(examination.errors[0])
