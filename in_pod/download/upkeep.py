"""Verify the files of a volume, and prune unused ones."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from .contract import BLOBS, SETS, UNNEEDED, WRONG
from .hashing import hash_file
from .lease import Lease
from .names import (
    CLOCK,
    is_blob,
    is_blob_link,
    is_model_link,
    is_note,
    is_set,
    listed,
)
from .opening import is_file, open_file, require_own_folders
from .plan import SHA256, Plan
from .progress import Say, size_text
from .run import Options
from .volume import remove, set_name


def verify(models: Path, *, rate_mb_s: float, say: Say) -> frozenset[str]:
    """Hash every blob, bypassing the page cache.

    Args:
        models: The volume's directory.
        rate_mb_s: Megabytes a second at most.
        say: Prints a line for each file.

    Returns:
        The names of the corrupt blobs, which are the sha256 that they should have.
    """
    require_own_folders(models)
    blobs = [
        path for path in listed(models / BLOBS) if SHA256.fullmatch(path.name) and is_blob(path)
    ]
    wrong = []
    for blob in blobs:
        started = time.monotonic()
        digest = hash_file(blob, rate_mb_s=rate_mb_s)
        seconds = max(time.monotonic() - started, 1e-6)
        size = blob.stat().st_size
        right = digest == blob.name
        say(
            f"blobs/{blob.name}: {'correct' if right else f'WRONG, its sha256 is {digest}'}, "
            f"{size_text(size)}, {size / 1e6 / seconds:.0f} MB/s"
        )
        if not right:
            wrong.append(blob.name)
    say(f"hashed {len(blobs)} files, {len(wrong)} are wrong")
    return frozenset(wrong)


def wrong_text(models: Path, wrong: frozenset[str]) -> str:
    """List the wrong files for an error."""
    names = ", ".join(name[:12] for name in sorted(wrong))
    return f"{models}: {len(wrong)} wrong files ({names})"


def unneeded(models: Path, plan: Plan) -> Iterator[tuple[Path, int]]:
    """Find files that neither the plan nor a model's link uses.

    Yields:
        A path and the bytes that its removal frees: links of unplanned models, sets, then blobs.

    Raises:
        DownloadError: when a folder of the program is not a folder.
    """
    require_own_folders(models)
    planned = {file.sha256 for file in plan.files}
    sets = {set_name(links) for links in plan.models.values()}
    for path in sorted(filter(is_model_link, models.iterdir())):
        if path.name not in plan.models:
            yield path, 0
        else:
            sets.add(path.readlink().name)
    for folder in listed(models / SETS):
        if folder.name in sets:
            planned.update(link.readlink().name for link in filter(is_blob_link, listed(folder)))
        elif is_set(folder):
            yield folder, 0
    for path in filter(is_blob, listed(models / BLOBS)):
        if path.stem not in planned or path.suffix == WRONG:
            yield path, path.lstat().st_blocks * 512


def prune(
    models: Path,
    plan: Plan,
    *,
    grace_s: float,
    dry_run: bool,
    options: Options,
    say: Say,
) -> None:
    """Remove files that have been unused for the whole grace period.

    The period starts when a prune first finds a file unused (a note in `.unneeded`), and is
    measured by the volume's clock. A rollback within it needs no download.

    Args:
        models: The volume's directory.
        plan: The plan.
        grace_s: Seconds to keep an unused file.
        dry_run: Whether to list the files only.
        options: Time limits for the lease.
        say: Prints a line for each file.

    Raises:
        DownloadError: with BUSY when another run uses the volume.
    """
    lease = Lease(models, lease_s=options.lease_s, wait_s=options.wait_s, say=say)
    with contextlib.nullcontext() if dry_run else lease:
        _prune(models, plan, grace_s=grace_s, dry_run=dry_run, say=say)


def _prune(models: Path, plan: Plan, *, grace_s: float, dry_run: bool, say: Say) -> None:
    require_own_folders(models)
    notes = models / UNNEEDED
    if not dry_run:
        notes.mkdir(exist_ok=True)
    now = _volume_time(models) if not dry_run else time.time()
    freed = waiting = 0
    unused = list(unneeded(models, plan))
    for path, size_bytes in unused:
        note = notes / path.name
        if not dry_run:
            os.close(open_file(note, os.O_WRONLY | os.O_CREAT))
        age_s = max(0.0, now - note.lstat().st_mtime) if is_file(note) else 0.0
        size = size_text(size_bytes) if size_bytes else "a link"
        file = f"{path.relative_to(models)}: {size}"
        if age_s < grace_s:
            waiting += size_bytes
            say(f"{file}, kept for {(grace_s - age_s) / 3600:.1f} h more")
            continue
        freed += size_bytes
        say(f"{file}, {'would be removed' if dry_run else 'removed'}")
        if not dry_run:
            remove(path)
            note.unlink()
    for note in filter(is_note, listed(notes)) if not dry_run else ():
        if note.name not in {path.name for path, _ in unused}:
            note.unlink()
    say(
        f"{'would free' if dry_run else 'freed'} {size_text(freed)}; {size_text(waiting)} stay "
        "until the end of their grace period"
    )


def _volume_time(models: Path) -> float:
    probe = models / f"{CLOCK}.{secrets.token_hex(4)}"
    os.close(open_file(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        return probe.lstat().st_mtime
    finally:
        probe.unlink()
