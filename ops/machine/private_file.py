"""Files and directories that only their owner can read."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from ops.errors import OpsError

_LARGEST_BYTES = 1 << 20


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing an existing one."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def read_private(path: Path) -> str:
    """Read a small file that only this user can read or replace.

    Raises:
        OpsError: when it is a link or another kind of file, or belongs to another user, or others
            may open it, or it is not text.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            _check(path, os.fstat(fd), stat.S_ISREG, "file", 0o600)
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise OpsError(f"{path} cannot be read ({error.strerror or error})") from error
    try:
        if len(content) > _LARGEST_BYTES:
            raise ValueError(f"it is larger than {_LARGEST_BYTES} bytes")
        return content.decode()
    except ValueError as error:
        raise OpsError(f"{path} is not a text ({error})") from error


def private_directory(path: Path) -> None:
    """Make a directory that only this user can enter, or check an existing one.

    Raises:
        OpsError: when it cannot be made, is a link, belongs to another user, or others may enter.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(path, path.lstat(), stat.S_ISDIR, "directory", 0o700)
    except OSError as error:
        raise OpsError(f"{path} cannot be used ({error.strerror or error})") from error


def _check(
    path: Path, found: os.stat_result, is_kind: Callable[[int], bool], kind: str, mode: int
) -> None:
    if not is_kind(found.st_mode):
        raise OpsError(f"{path} is not a {kind}; expected a private {kind}. Move it away")
    if found.st_uid != os.geteuid():
        raise OpsError(
            f"{path} belongs to user {found.st_uid}; expected user {os.geteuid()}, who runs this "
            "command. Run it as that user, or name another directory"
        )
    if found.st_mode & 0o077:
        raise OpsError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):o}; expected {mode:o}, so that only "
            f"its owner can use it. Run chmod {mode:o} {shlex.quote(str(path))}"
        )
