"""The command `env`."""

from __future__ import annotations

import shlex

import typer

from ops.errors import OpsError
from ops.options import EMBEDDED, EmbeddedDir, command_app, embedded_command

app = command_app()


@app.command()
def env(state_dir: EmbeddedDir = EMBEDDED) -> None:
    """Print the embedded cluster's environment variables as shell exports.

    They direct kubectl, Terraform, cdktf and these commands to the embedded cluster.
    TERRAFORM_BINARY_NAME is exported where cdktf would not find the program by itself. No key is
    printed: LLAMA_API_KEY is exported as a reference to the file or variable that holds it.
    Without a cluster it prints `false`, so that `eval` fails.

    Example: `source .venv/bin/activate && eval "$(python -m ops env)"`
    """
    from ops.commands.serve import run as serve
    from ops.embedded import cluster as embedded
    from ops.endpoint.api_key import KEY_VARIABLE
    from ops.terraform.program import VARIABLE, survey

    cluster = embedded.find(state_dir)
    if cluster is None:
        # Otherwise `eval` succeeds, and what follows speaks to another cluster.
        typer.echo("false")
        raise OpsError(
            f"no embedded cluster runs in {state_dir}; start one with "
            f"`{embedded_command('up', state_dir)}`"
        )
    for name, value in cluster.environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    program = survey().program
    # Without the variable, cdktf runs `terraform`.
    if program is not None and program.command != "terraform":
        typer.echo(f"export {VARIABLE}={shlex.quote(program.command)}")
    served = serve.find(state_dir)
    if served is not None and served.key is not None:
        typer.echo(f'export {KEY_VARIABLE}="{served.key.in_shell}"')
