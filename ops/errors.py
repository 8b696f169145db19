"""The one error tree of the operator's commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def reason_of(error: BaseException, *, limit: int = 300) -> str:
    """What another library's error says, in one line; its class where it says nothing."""
    return one_line(str(error), limit=limit) or type(error).__name__


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a disk's refusal into one line.

    Raises:
        OpsError: naming the path, for each OSError within the context.
    """
    try:
        yield
    except OSError as error:
        raise OpsError(f"{path} cannot be written ({error.strerror or error})") from error
