"""The errors of the operator's commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OpsError(Exception):
    """An error that the operator can act on; the command line prints its one line."""

    exit_code = 1


class RefusedError(OpsError):
    """A deploy or another change was refused for what it would do; nothing was changed."""

    exit_code = 3


def one_line(text: str, *, limit: int = 240) -> str:
    """Make any text fit for a terminal, a table and XML: one line, printable, not too long."""
    line = " ".join(text.split())
    line = "".join(each if each.isprintable() else "?" for each in line)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def reason_of(error: BaseException, *, limit: int = 300) -> str:
    """The message of another library's error in one line, or its class if it has none."""
    return one_line(str(error), limit=limit) or type(error).__name__


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert errors while a file is written.

    Raises:
        OpsError: for an OSError within the context; names the path.
    """
    try:
        yield
    except OSError as error:
        raise OpsError(f"{path} cannot be written ({error.strerror or error})") from error
