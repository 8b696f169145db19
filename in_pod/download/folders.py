"""What an earlier Job left under a model's name: look into it, and move it away."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Container, Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path

from .contract import NOT_AS_PLANNED
from .errors import DownloadError
from .names import foreign, has_only_links
from .opening import is_folder
from .plan import Plan
from .progress import Say

BEFORE = ".before"
"""Suffix of what had a model's name before the model was published."""
DEPTH = 4
"""Levels of folders that are read."""
ENTRIES = 10_000
"""Entries of a model's folder that are read."""
NAMES = 5
"""File names in a line."""
_OF_OTHERS = re.compile(r"\W.*|lost\+found|__MACOSX|System Volume Information", re.DOTALL)
"""Folders that are not read: hidden ones, snapshots of the server, and those of NAS programs."""


def entries(models: Path, folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in a folder and its subfolders, at most ENTRIES; never follow a link.

    Folders are not among them, except for those that are not read: deeper than DEPTH, or of
    other programs, such as `.snapshot`.

    Raises:
        DownloadError: with NOT_AS_PLANNED when a folder may not be read.
    """
    folders, left = [(folder, 1)], ENTRIES
    while folders:
        folder, depth = folders.pop()
        require(models, folder, os.R_OK | os.X_OK)
        with os.scandir(folder) as scan:
            here = sorted(islice(scan, left), key=lambda entry: entry.name)
        left -= len(here)
        for entry in here:
            if (
                entry.is_dir(follow_symlinks=False)
                and depth < DEPTH
                and not _OF_OTHERS.fullmatch(entry.name)
            ):
                folders.append((Path(entry.path), depth + 1))
            else:
                yield entry


def move_away(models: Path, plan: Plan, model: str, say: Say) -> None:
    """Rename what has a model's name and is not its link.

    A folder of links to blobs and to each other, as an earlier version or a take-over leaves it,
    gets a hidden name and is removed later. Anything else gets a visible one and is never removed.

    Raises:
        DownloadError: with NOT_AS_PLANNED when another user's rights forbid that.
    """
    path = models / model
    hidden = os.access(path, os.R_OK | os.W_OK | os.X_OK) and has_only_links(path)
    name = f".{model}.{secrets.token_hex(4)}" if hidden else _free_name(models, plan, model)
    what = _content(models, path) if is_folder(path) else "it was not a folder"
    try:
        path.rename(models / name)
    except PermissionError as error:
        raise refusal(models, path) from error
    if not hidden:
        say(
            f"{model}: what had this name is now {name} ({what}). Delete it when nothing needs it."
        )


def _free_name(models: Path, plan: Plan, model: str) -> str:
    names = chain([f"{model}{BEFORE}"], (f"{model}{BEFORE}-{number}" for number in count(2)))
    taken = plan.models.keys() | {path.name for path in models.iterdir()}
    return next(name for name in names if name not in taken)


def _content(models: Path, folder: Path) -> str:
    files = (entry for entry in entries(models, folder) if not entry.is_symlink())
    return shown_names(folder, (Path(entry.path) for entry in files)) or "no files"


def foreign_text(models: Path, taken_over: Container[str] = ()) -> str:
    """Name what on the volume is not the program's, in one line; empty if there is nothing."""
    names = shown_names(models, foreign(models, taken_over))
    return f"left alone, as the download program did not write it: {names}" if names else ""


def shown_names(folder: Path, paths: Iterable[Path]) -> str:
    """Return the first few paths below a folder as harmless text; empty if there are none."""
    names = [shown(folder, path) for path in islice(paths, NAMES + 1)]
    return ", ".join(names[:NAMES]) + (" and more" if len(names) > NAMES else "")


def shown(folder: Path, path: Path) -> str:
    """Return a path below a folder as harmless text: others chose its name."""
    text = ascii(str(path.relative_to(folder)))
    return text if len(text) <= 100 else f"{text[:99]}..."


def require(models: Path, path: Path, access: int) -> None:
    """Check that this user may access a path.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it may not.
    """
    if not os.access(path, access):
        raise refusal(models, path)


def refusal(models: Path, path: Path) -> DownloadError:
    """Return the error of a path that another user keeps from this one."""
    return DownloadError(NOT_AS_PLANNED, f"{models}: {ownership(models, path)}")


def ownership(models: Path, path: Path) -> str:
    """Say who owns a path, who should, and how to change that."""
    status = path.lstat()
    owner = f"{status.st_uid}:{status.st_gid} with mode {status.st_mode & 0o7777:04o}"
    ours = f"{os.getuid()}:{os.getgid()}"
    return (
        f"{shown(models, path)} belongs to {owner}; expected {ours}. Run in the volume's "
        f"directory on its server: chown -R {ours} {path.relative_to(models).parts[0]}"
    )
