"""Append-only files: one line of JSON at a time, each on disk before the next.

A power cut may tear the last line, which was not confirmed yet and is dropped.
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
    """The only writer of a file; a second one is refused."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and cut off a torn last line.

        Raises:
            OpsError: when another process appends to it, or it cannot be written.
        """
        self._path = path
        with writing(path):
            # Unbuffered: closing would otherwise write again what the disk refused.
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
        """Append one line and wait until it is on disk.

        Raises:
            OpsError: when it cannot be written.
        """
        # As ASCII, a line end or control character in a name stays within its line.
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
    """Read the whole lines of a file; none if it does not exist.

    Raises:
        OpsError: when a line before the last is not a JSON object, or the file is not readable.
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
    """Write a file atomically.

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
    """Wait until a directory's new names are on disk."""
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
