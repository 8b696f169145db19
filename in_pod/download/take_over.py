"""Use the missing files that an earlier Job left in a model's folder, instead of a download."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .contract import BLOBS
from .folders import entries, ownership, refusal, require, shown
from .hashing import hash_file
from .lease import Lease
from .opening import is_file, is_folder
from .pace import Speed
from .plan import SHA256, File, Plan
from .progress import PlainReport, Progress, Say, size_text
from .volume import name_blob, sync

MOVING = ".moving"
"""Suffix of the link that waits to replace a file while that becomes a blob."""


def take_over(
    models: Path, plan: Plan, missing: Sequence[File], *, lease: Lease, say: Say
) -> frozenset[str]:
    """Move files with the sha256 of a missing file to the blobs, and leave links in their place.

    Args:
        models: The volume's directory.
        plan: The plan, whose models' folders are searched.
        missing: The missing files; only files of their sizes are read.
        lease: Checked before each move.
        say: Prints a line for each file, and the progress.

    Returns:
        The sha256 of the files that are not missing any more.

    Raises:
        DownloadError: with NOT_AS_PLANNED when another user's rights forbid that.
    """
    _end_moves(models, plan, say)
    lacking = {file.sha256: file for file in missing}
    found = list(files_in_folders(models, plan))
    by_size = {file.size_bytes: file for file in missing}
    candidates = [(path, by_size[size]) for path, size in found if size in by_size]
    hashing = _Hashing(candidates, say)
    for path, file in candidates:
        if all(other.size_bytes != file.size_bytes for other in lacking.values()):
            hashing.skip(path)
            continue
        try:
            sha256 = _sha256(models, path, hashing, say)
            if sha256 in lacking:
                lease.check()
                if _move(models, path, sha256, say):
                    del lacking[sha256]
            elif sha256:
                say(f"{shown(models, path)}: not used, its sha256 is {sha256}")
        except PermissionError as error:
            raise refusal(models, path) from error
    by_name = {Path(file.name).name: file for file in lacking.values()}
    for path, size in found:
        if path.name in by_name and (expected := by_name[path.name].size_bytes) != size:
            say(f"{shown(models, path)}: not used, it has {size} bytes; expected {expected}")
    return frozenset(file.sha256 for file in missing) - lacking.keys()


def files_in_folders(models: Path, plan: Plan) -> Iterator[tuple[Path, int]]:
    """Yield the regular files in the folders of the plan's models, with their bytes.

    Raises:
        DownloadError: with NOT_AS_PLANNED when a folder may not be read.
    """
    for entry in _entries(models, plan):
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path), entry.stat(follow_symlinks=False).st_size


def _entries(models: Path, plan: Plan) -> Iterator[os.DirEntry[str]]:
    for model in plan.models:
        if is_folder(models / model):
            yield from entries(models, models / model)


class _Hashing:
    """The progress over several files, as lines."""

    def __init__(self, candidates: Sequence[tuple[Path, File]], say: Say) -> None:
        """Start with nothing hashed."""
        self._done = {path: (file, 0) for path, file in candidates}
        self._report = PlainReport(lambda line: say(f"hashing: {line}"))
        self._speed = Speed(0)
        if candidates:
            total = sum(file.size_bytes for _, file in candidates)
            say(
                f"{len(candidates)} files in the models' folders have the size of a missing file; "
                f"hashing {size_text(total)}"
            )

    def skip(self, path: Path) -> None:
        """Do not count a file, which is not hashed."""
        del self._done[path]

    def add(self, path: Path, done_bytes: int) -> None:
        """Count the hashed bytes of a file."""
        self._done[path] = (self._done[path][0], done_bytes)
        files = tuple(self._done.values())
        self._report(Progress(files=files, rate=self._speed.at(sum(done for _, done in files))))


def _sha256(models: Path, path: Path, hashing: _Hashing, say: Say) -> str | None:
    """Hash a file; None if it changed meanwhile, because another program writes it.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it may not be read or moved.
    """
    require(models, path, os.R_OK)
    for folder in (path.parent, models / BLOBS):
        require(models, folder, os.W_OK | os.X_OK)
    before = _identity(path)
    sha256 = hash_file(path, progress=partial(hashing.add, path))
    if _identity(path) != before:
        say(f"{shown(models, path)}: not used, it changed while it was hashed")
        return None
    return sha256


def _identity(path: Path) -> tuple[int, int, int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _move(models: Path, path: Path, sha256: str, say: Say) -> bool:
    """Rename a file to its blob, and put a link in its place; return whether that was possible.

    The link waits beside the file, so that the run after a kill can put it there.
    """
    name, blob = shown(models, path), models / BLOBS / sha256
    link = path.with_name(f".{path.name}{MOVING}")
    try:
        if link.is_symlink():
            link.unlink()
        link.symlink_to(os.path.relpath(blob, path.parent))
        sync(path)
        name_blob(path, blob)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENAMETOOLONG):
            raise
        with contextlib.suppress(OSError):
            link.unlink()
        say(f"{name}: not used, it cannot be moved to {BLOBS} ({error.strerror})")
        return False
    say(f"{name}: taken over as {BLOBS}/{sha256[:12]}, {size_text(blob.stat().st_size)}")
    _end_move(models, link, blob, say)
    return True


def _end_moves(models: Path, plan: Plan, say: Say) -> None:
    """End the moves of a killed run."""
    for entry in _entries(models, plan):
        link = Path(entry.path)
        if not (entry.is_symlink() and entry.name.endswith(MOVING)):
            continue
        blob = models / BLOBS / link.readlink().name
        if SHA256.fullmatch(blob.name) and is_file(blob) and not os.path.lexists(_place(link)):
            _end_move(models, link, blob, say)


def _end_move(models: Path, link: Path, blob: Path, say: Say) -> None:
    try:
        blob.chmod(0o444)
    except PermissionError:
        say(f"the mode stays: {ownership(models, blob)}")
    link.rename(_place(link))
    sync(link.parent)


def _place(link: Path) -> Path:
    """Return the name that a link waits for."""
    return link.parent / link.name.removeprefix(".").removesuffix(MOVING)
