"""The one error tree of the operator's commands."""

from __future__ import annotations


class OpsError(Exception):
    """What the operator can act on, in one line; the command line prints it."""

    exit_code = 1


class RefusedError(OpsError):
    """A deploy would remove what nobody named; nothing was changed."""

    exit_code = 3


def one_line(text: str, *, limit: int = 240) -> str:
    """Make any text fit for a terminal, a table and XML: one line, printable, not too long."""
    line = " ".join(text.split())
    line = "".join(each if each.isprintable() else "?" for each in line)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
