"""The API keys of a front end on this machine, as the settings declare them."""

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

_KEY = re.compile(r"[\x21\x23-\x2b\x2d-\x7e]+")
"""Characters of a header, without the comma that separates llama-server's keys and the quote that
joins them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedKey:
    """The place of one key; outputs and records name the place, never the key."""

    variable: str
    """The environment variable that the settings declare."""
    file: Path | None
    """The file with the generated key; None: the variable was set."""

    def read(self) -> str:
        """Return the key.

        Raises:
            OpsError: when it is missing, or no header can carry it; the error does not show it.
        """
        try:
            key = os.environ.get(self.variable, "") if self.file is None else self.file.read_text()
        except FileNotFoundError:
            key = ""
        place = self.variable if self.file is None else str(self.file)
        if not key:
            raise OpsError(
                f"{place} is empty; expected the API key that the front end requires. Set it, or "
                "restart the front end"
            )
        if not _KEY.fullmatch(key):
            raise OpsError(
                f"{place} contains a comma, a quote, whitespace or a non-ASCII character; "
                "expected an API key without them. Change it"
            )
        return key

    @property
    def in_shell(self) -> str:
        """Return a shell expression for the key, to be used within double quotes."""
        return (
            f"${self.variable}" if self.file is None else f"$(cat {shlex.quote(str(self.file))})"
        )


def served_keys(declared: tuple[str, ...], state_dir: Path) -> tuple[ServedKey, ...]:
    """Return a key for each declared variable; generate it if the variable is not set.

    LLAMA_API_KEY, which every command of this repository sends, is added if it is set.

    Args:
        declared: The variables that the settings declare.
        state_dir: The directory of generated keys, which only their owner can read.

    Returns:
        The keys; the first one is for requests of this machine.
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
