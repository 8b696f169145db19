"""The API keys that a front end on this machine asks for: those that the settings declare."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from ops.endpoint.api_key import KEY_VARIABLE
from ops.errors import OpsError
from ops.machine.private_file import write_private

_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
"""What a header can carry, and no comma: llama-server's router separates its keys by commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedKey:
    """Where one key is read from; what is printed or recorded names that place, not the key."""

    variable: str
    """The environment variable that the settings declare."""
    file: Path | None
    """The file with the generated key; None: the variable was set."""

    def read(self) -> str:
        """Read the key.

        Raises:
            OpsError: when it is not there, or no header could carry it; it is not shown.
        """
        try:
            key = os.environ.get(self.variable, "") if self.file is None else self.file.read_text()
        except FileNotFoundError:
            key = ""
        place = self.variable if self.file is None else str(self.file)
        if not key:
            raise OpsError(
                f"{place} is empty; expected the API key that the front end asks for. Set it, or "
                "start the front end again"
            )
        if not _KEY.fullmatch(key):
            raise OpsError(
                f"{place} holds a comma, a blank or a letter outside ASCII; expected an API key "
                "without. Change it"
            )
        return key

    @property
    def in_shell(self) -> str:
        """Name it within double quotes of a command line."""
        return (
            f"${self.variable}" if self.file is None else f"$(cat {shlex.quote(str(self.file))})"
        )


def served_keys(declared: tuple[str, ...], state_dir: Path) -> tuple[ServedKey, ...]:
    """Find a key for each declared variable, and generate those whose variable is not set.

    LLAMA_API_KEY, with which every command of this repository asks, is taken too where it is set.

    Args:
        declared: The variables that the settings declare.
        state_dir: Where generated keys are kept, readable by their owner alone.

    Returns:
        The keys, the one for this machine's own questions first.
    """
    folder = state_dir / "keys"
    keys = [
        ServedKey(variable=name, file=None if os.environ.get(name) else _generated(folder / name))
        for name in declared
    ]
    if os.environ.get(KEY_VARIABLE) and KEY_VARIABLE not in declared:
        keys.insert(0, ServedKey(variable=KEY_VARIABLE, file=None))
    return tuple(keys)


def _generated(path: Path) -> Path:
    if not path.is_file() or not path.read_text():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, secrets.token_urlsafe(24))
    return path.resolve()
