"""Which files, folders and links on the volume are the program's, by name and content.

Others share the volume: file managers, NAS programs, its server and people leave files anywhere.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Container, Iterator
from pathlib import Path

from .contract import BLOBS, JOURNAL, LEASE_FILE, PARTIAL, SETS, UNNEEDED, WRONG
from .opening import is_file, is_folder
from .plan import NAME, SHA256

BLOB_NAME = re.compile(
    rf"(?P<sha256>{SHA256.pattern})({'|'.join(map(re.escape, (PARTIAL, JOURNAL, WRONG)))})?"
)
SET_NAME = re.compile(r"[0-9a-f]{16}")
_TEMPORARY_NAME = re.compile(r"\..+\.[0-9a-f]{8}")
_MODEL_TARGET = re.compile(rf"{SETS}/{SET_NAME.pattern}")
_BLOB_TARGET = re.compile(rf"(\.\./)+{BLOBS}/{SHA256.pattern}")
_INNER_TARGET = re.compile(rf"{_BLOB_TARGET.pattern}|[^/]+")
CLOCK = ".clock"
"""Prefix of the empty file that tells the volume's time."""


def listed(folder: Path) -> list[Path]:
    """List a folder; empty if it is missing, a link or not a folder."""
    return sorted(folder.iterdir()) if is_folder(folder) else []


def is_blob(path: Path) -> bool:
    """Whether a path in `blobs` is a blob, or belongs to one."""
    return BLOB_NAME.fullmatch(path.name) is not None and is_file(path)


def is_model_link(path: Path) -> bool:
    """Whether a path is a link to a set."""
    return _leads_like(path, _MODEL_TARGET)


def is_blob_link(path: Path) -> bool:
    """Whether a path is a link to a blob."""
    return _leads_like(path, _BLOB_TARGET)


def is_set(path: Path) -> bool:
    """Whether a path in `sets` is a set, with nothing else in it."""
    return SET_NAME.fullmatch(path.name) is not None and has_only_links(path)


def has_only_links(folder: Path) -> bool:
    """Whether a path is a folder of links to blobs and to each other, with nothing else in it."""
    return is_folder(folder) and all(_leads_like(path, _INNER_TARGET) for path in folder.iterdir())


def is_temporary(path: Path) -> bool:
    """Whether a path is what a killed run prepared and did not rename."""
    return _TEMPORARY_NAME.fullmatch(path.name) is not None and (
        is_model_link(path)
        or has_only_links(path)
        or (path.stem == CLOCK and _is_empty_file(path))
    )


def is_note(path: Path) -> bool:
    """Whether a path in `.unneeded` is a prune's note."""
    names = (BLOB_NAME, SET_NAME, NAME)
    return any(name.fullmatch(path.name) for name in names) and _is_empty_file(path)


def foreign(models: Path, taken_over: Container[str] = ()) -> Iterator[Path]:
    """Yield what the program did not write and leaves alone; its folders are not searched.

    Args:
        models: The volume's directory.
        taken_over: Names in it that are not left alone (default: none).
    """
    ours = (BLOBS, SETS, UNNEEDED, LEASE_FILE)
    for path in sorted(models.iterdir()) if models.is_dir() else ():
        if path.name in ours or path.name in taken_over:
            continue
        if not is_model_link(path) and not is_temporary(path):
            yield path
    yield from (path for path in listed(models / BLOBS) if not is_blob(path))
    for path in listed(models / SETS):
        if SET_NAME.fullmatch(path.name) and is_folder(path):
            with contextlib.suppress(PermissionError):
                yield from (link for link in listed(path) if not is_blob_link(link))
        elif not is_temporary(path):
            yield path
    yield from (path for path in listed(models / UNNEEDED) if not is_note(path))


def _leads_like(path: Path, target: re.Pattern[str]) -> bool:
    with contextlib.suppress(OSError):
        return target.fullmatch(os.readlink(path)) is not None  # noqa: PTH115 - its text.
    return False


def _is_empty_file(path: Path) -> bool:
    return is_file(path) and path.lstat().st_size == 0
