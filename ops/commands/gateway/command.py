"""`python -m ops gateway COMMAND`: the consumers' keys, and an existing LiteLLM's files."""

from __future__ import annotations

from ops.commands.gateway.keys.command import app as keys
from ops.options import command_app

app = command_app(
    help="Make, rotate and list the consumers' keys, and write what an existing LiteLLM "
    "mounts.\n\n"
    "Example: `python -m ops gateway keys new n8n --secret llm-key`",
    no_args_is_help=True,
)
app.add_typer(keys, name="keys")
