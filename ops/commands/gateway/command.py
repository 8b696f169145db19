"""`python -m ops gateway COMMAND`: the consumers' keys, and an existing LiteLLM's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.commands.gateway.keys.command import app as keys
from ops.options import command_app
from ops.report.terminal import say

app = command_app(
    help="Make, rotate and list the consumers' keys, and write what an existing LiteLLM "
    "mounts.\n\n"
    "Example: `python -m ops gateway keys new n8n --secret llm-key`",
    no_args_is_help=True,
)
app.add_typer(keys, name="keys")


@app.command()
def files(
    out: Annotated[
        Path,
        typer.Option("--out", help="Write into this directory, which is new or empty."),
    ],
) -> None:
    """Write what a LiteLLM that runs already mounts: its configuration, policy and hooks.

    A deploy makes the same texts as ConfigMaps. Beside them: the keys' Secret without a key, and
    a patch for LiteLLM's Deployment. Needs neither cluster nor Terraform.

    Example: `python -m ops gateway files --out gateway`
    """
    from ops.commands.gateway.files import existing_gateway, write_files
    from ops.terraform.manifests import manifests
    from ops.terraform.synth import synthesize
    from stacks.declared import load_settings

    gateway = existing_gateway(load_settings().gateway)
    write_files(out, manifests(synthesize().document), gateway)
    say(f"wrote {out}")
