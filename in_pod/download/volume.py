"""The names on the volume: only checked files have their final name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path

from .contract import BLOBS, NOT_AS_PLANNED, SETS, WRONG
from .errors import DownloadError
from .folders import move_away
from .names import is_model_link
from .opening import is_file, is_folder
from .plan import File, Link, Plan
from .progress import Say
from .volume_errors import NO_LINKS

_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS)


def is_complete(models: Path, file: File) -> bool:
    """Whether a file is complete: only a checked file has its final name."""
    blob = models / BLOBS / file.sha256
    return is_file(blob) and blob.lstat().st_size == file.size_bytes


def set_name(links: tuple[Link, ...]) -> str:
    """Name a set after its content, so that a set never changes."""
    text = json.dumps(sorted((link.name, link.sha256) for link in links))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def set_target(links: tuple[Link, ...]) -> str:
    """Return the target of a model's link."""
    return f"{SETS}/{set_name(links)}"


def blob_target(link: Link) -> str:
    """Return the target of a link in a set."""
    return f"../../{BLOBS}/{link.sha256}"


def is_published(models: Path, model: str, links: tuple[Link, ...]) -> bool:
    """Whether a model's link leads to exactly these links."""
    return _leads_to(models / model, set_target(links)) and is_set(models, links)


def is_set(models: Path, links: tuple[Link, ...]) -> bool:
    """Whether a set of links exists and is correct."""
    folder = models / SETS / set_name(links)
    return is_folder(folder) and all(
        _leads_to(folder / link.name, blob_target(link)) for link in links
    )


def _leads_to(path: Path, target: str) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(path) == target  # noqa: PTH115 - its text is compared.
    return False


def publish(
    models: Path, plan: Plan, *, say: Say, excluding: frozenset[str] = frozenset()
) -> None:
    """Point each model's link at its files once they are complete, atomically for each model.

    Args:
        models: The volume's directory.
        plan: The plan.
        say: Prints a line for each link that moved.
        excluding: The sha256 of files that do not count as complete (default: none).

    Raises:
        DownloadError: with NOT_AS_PLANNED when what has a model's name cannot be moved away.
    """
    complete = {file.sha256 for file in plan.files if is_complete(models, file)} - excluding
    for model, links in plan.models.items():
        if is_published(models, model, links) or not complete.issuperset(
            link.sha256 for link in links
        ):
            continue
        folder = models / set_target(links)
        if not is_set(models, links):
            fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
            fresh.mkdir(parents=True)
            for link in links:
                (fresh / link.name).symlink_to(blob_target(link))
            sync(fresh)
            if os.path.lexists(folder):
                folder.rename(folder.with_name(f".broken.{secrets.token_hex(4)}"))
            fresh.rename(folder)
            sync(folder.parent)
        fresh = models / f".{model}.{secrets.token_hex(4)}"
        fresh.symlink_to(set_target(links))
        if os.path.lexists(models / model) and not is_model_link(models / model):
            move_away(models, plan, model, say)
        fresh.replace(models / model)
        sync(models)
        names = ", ".join(f"{link.name} {link.sha256[:12]}" for link in links)
        say(f"published model {model}: {names}")


def name_blob(path: Path, blob: Path) -> None:
    """Rename a checked file to its sha256, setting aside a wrong file of that name."""
    if os.path.lexists(blob):
        wrong = blob.with_suffix(WRONG)
        try:
            wrong.hardlink_to(blob)
        except FileExistsError:
            pass
        except OSError as error:
            # Linux protects other users' files from hard links, and CIFS may have none.
            if error.errno not in (errno.EPERM, errno.EACCES, *_NOT_SUPPORTED, errno.EMLINK):
                raise
            blob.rename(wrong)
    path.replace(blob)
    sync(blob.parent)


def require_links(models: Path) -> None:
    """Check that the volume stores symbolic links, before a download whose end needs them.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it does not.
    """
    probe = models / f".probe.{secrets.token_hex(4)}"
    try:
        probe.symlink_to(f"{SETS}/{'0' * 16}")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return  # What this run removes may be enough.
        # CIFS without mfsymlinks answers EOPNOTSUPP, FAT EPERM.
        if error.errno not in (errno.EPERM, errno.EINVAL, *_NOT_SUPPORTED):
            raise
        raise DownloadError(
            NOT_AS_PLANNED, f"{models}: no symbolic link can be made; {NO_LINKS}"
        ) from error
    probe.unlink()


def sync(path: Path) -> None:
    """Sync a directory or a file, where the file system can."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network and FUSE mounts write a directory at once, and refuse to sync it.
        if error.errno not in (errno.EINVAL, *_NOT_SUPPORTED):
            raise
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with its content."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
