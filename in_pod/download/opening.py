"""Look at the volume's files and folders, and open files, without following symbolic links.

Whoever writes to the share can plant a link. On a workstation it leads to the operator's files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from .contract import BLOBS, NOT_AS_PLANNED, SETS, UNNEEDED
from .errors import DownloadError

FILE, FOLDER = "a file", "a folder"
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: FOLDER, stat.S_IFREG: FILE}


def kind(path: Path) -> str:
    """Say what is at a path, without following a link; empty if nothing is."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return _KINDS.get(stat.S_IFMT(path.lstat().st_mode), "a device, pipe or socket")
    return ""


def is_file(path: Path) -> bool:
    """Whether a path is a regular file, and not a link to one."""
    return kind(path) == FILE


def is_folder(path: Path) -> bool:
    """Whether a path is a folder, and not a link to one."""
    return kind(path) == FOLDER


def open_file(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a regular file of the volume and return its descriptor.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it is a link, a folder or a device.
        OSError: when the volume refuses.
    """
    try:
        # Without O_NONBLOCK, a pipe blocks until somebody opens its other end.
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            require_file(path)
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        require_file(path)
    return fd


def read_file(path: Path) -> bytes:
    """Read a small regular file of the volume.

    Raises:
        DownloadError, OSError: as `open_file`.
    """
    with open(open_file(path, os.O_RDONLY), "rb") as content:
        return content.read()


def require_file(path: Path) -> None:
    """Check that a path is a regular file or free.

    Raises:
        DownloadError: with NOT_AS_PLANNED when something else is there.
    """
    _require(path, FILE)


def require_own_folders(models: Path) -> None:
    """Check that the program's folders on the volume are folders or missing.

    Raises:
        DownloadError: with NOT_AS_PLANNED when something else is there, such as a link.
    """
    for name in (BLOBS, SETS, UNNEEDED):
        _require(models / name, FOLDER)


def _require(path: Path, expected: str) -> None:
    if (found := kind(path)) not in ("", expected):
        raise DownloadError(
            NOT_AS_PLANNED, f"{path} is {found}; expected {expected}. Move it away."
        )
