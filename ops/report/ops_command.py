"""Spell this repository's commands for a shell in which its environment is not active."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def here(path: Path) -> str:
    """Spell a path for a shell, relative to the current directory if it is below it."""
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return shlex.quote(str(near))


def ops_command(words: str) -> str:
    """Spell `python -m ops WORDS` with this environment's Python.

    `make` runs commands in this environment, but leaves the operator's shell without it.
    """
    return f"{here(Path(sys.executable))} -m ops {words}"
