"""What is on the volume, by its names alone: a name is given only to checked bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path

from .contract import BLOBS, NO_SPACE, NOT_AS_PLANNED, SETS, TRANSIENT
from .errors import DownloadError
from .plan import File, Link, Plan
from .progress import Say

UNNEEDED = ".unneeded"
"""The folder of notes: since when a prune sees a thing named by nothing."""


def is_complete(models: Path, file: File) -> bool:
    """Whether a file is on the volume: its name is given only to checked bytes."""
    blob = models / BLOBS / file.sha256
    return blob.is_file() and blob.stat().st_size == file.size_bytes


def set_name(links: tuple[Link, ...]) -> str:
    """Name a set of links by what it holds, so that a set is never changed."""
    text = json.dumps(sorted((link.name, link.sha256) for link in links))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def set_target(links: tuple[Link, ...]) -> str:
    """Where a model's link leads."""
    return f"{SETS}/{set_name(links)}"


def blob_target(link: Link) -> str:
    """Where a link of a set leads."""
    return f"../../{BLOBS}/{link.sha256}"


def is_published(models: Path, model: str, links: tuple[Link, ...]) -> bool:
    """Whether a model's name leads to exactly these links."""
    return _leads_to(models / model, set_target(links)) and is_set(models, links)


def is_set(models: Path, links: tuple[Link, ...]) -> bool:
    """Whether a set of links is there, each of them right."""
    folder = models / SETS / set_name(links)
    return all(_leads_to(folder / link.name, blob_target(link)) for link in links)


def _leads_to(path: Path, target: str) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(path) == target  # noqa: PTH115 - its text is compared.
    return False


def publish(models: Path, plan: Plan, *, say: Say, but: frozenset[str] = frozenset()) -> None:
    """Point each model whose files are all there at them, in one step a model.

    Args:
        models: The volume's directory.
        plan: The plan.
        say: Takes a line for each model whose link moved.
        but: The sha256 of files that are there with other bytes; left out: none.

    Raises:
        DownloadError: with NOT_AS_PLANNED when something else has the model's name.
    """
    complete = {file.sha256 for file in plan.files if is_complete(models, file)} - but
    for model, links in plan.models.items():
        if is_published(models, model, links) or not complete.issuperset(
            link.sha256 for link in links
        ):
            continue
        _make_room(models, model)
        folder = models / set_target(links)
        if not is_set(models, links):
            fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
            fresh.mkdir(parents=True)
            for link in links:
                (fresh / link.name).symlink_to(blob_target(link))
            sync(fresh)
            if folder.exists():
                folder.rename(folder.with_name(f".broken.{secrets.token_hex(4)}"))
            fresh.rename(folder)
            sync(folder.parent)
        fresh = models / f".{model}.{secrets.token_hex(4)}"
        fresh.symlink_to(set_target(links))
        fresh.replace(models / model)
        sync(models)
        say(f"model {model}: " + ", ".join(f"{link.name} is {link.sha256[:12]}" for link in links))


def _make_room(models: Path, model: str) -> None:
    """Move away what has a model's name; an earlier version made a folder of links there.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it is someone else's.
    """
    path = models / model
    if path.is_symlink() or not path.exists():
        return
    if not path.is_dir() or not all(each.is_symlink() for each in path.iterdir()):
        raise DownloadError(NOT_AS_PLANNED, f"{path} is no link of this program; move it away")
    path.rename(models / f".{model}.{secrets.token_hex(4)}")


def volume_error(models: Path, error: OSError) -> DownloadError:
    """Say what an error of the volume means for a retry."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(NO_SPACE, f"{models}: the volume is full; enlarge it, or --prune")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return DownloadError(
            NOT_AS_PLANNED,
            f"{models}: {error.strerror}; it must be a directory, writable to user {os.getuid()}",
        )
    return DownloadError(TRANSIENT, f"{models}: {error.strerror or error}")


def sync(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all it holds."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
