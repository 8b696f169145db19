"""One package a command: command.py is what typer reads, the rest is what the command does."""
