"""Files that are only appended to: a line of JSON at a time, on the disk before the next one.

A power cut may tear the last line; it was never said to be kept, and is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ops.errors import OpsError, writing


class Appender:
    """One writer of a file; a second one is refused while this one lives."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it where it is missing, and cut a torn last line off.

        Raises:
            OpsError: when another process appends to it, or it cannot be written.
        """
        self._path = path
        with writing(path):
            # Without a buffer: closing would write once more what the disk did not take.
            self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._cut_torn_line()
        except BlockingIOError as error:
            self._file.close()
            raise OpsError(
                f"another command writes to {path.parent}; wait, or pass another --run"
            ) from error
        sync_directory(path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def append(self, document: Mapping[str, Any]) -> None:
        """Write one line and wait until the disk has it.

        Raises:
            OpsError: when the disk does not take it.
        """
        # Escaped to ASCII, a line end or a terminal's control in a name stays within its line.
        line = json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
        with writing(self._path):
            left = memoryview(line.encode("ascii"))
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        last = content.rfind(b"\n", 0, whole - 1) + 1
        if whole and _document(content[last:whole]) is None:
            whole = last
        if whole < len(content):
            self._file.truncate(whole)
            os.fsync(self._file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the whole lines of a file; without it: none.

    Raises:
        OpsError: when a line before the last is no JSON object, or the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OpsError(f"{path} cannot be read ({error.strerror})") from error
    documents = [_document(line) for line in lines[:-1]]
    if documents and documents[-1] is None:
        documents.pop()
    for number, document in enumerate(documents, start=1):
        if document is None:
            raise OpsError(f"{path}: line {number} is not JSON; the file was edited by hand")
    return [document for document in documents if document is not None]


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OpsError: when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            if isinstance(content, str):
                content = content.encode(errors="backslashreplace")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OpsError(f"{path} cannot be written ({error.strerror})") from error
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the disk knows a directory's new names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
