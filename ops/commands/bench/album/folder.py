"""The photos of a folder, with the owner's judgement from a CSV."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.commands.bench.album.judgement import JUDGEMENT_FILE, Judgement, read_judgement
from ops.commands.bench.album.prepare import looks_like_photo, metadata
from ops.commands.bench.album.source import Candidate, Original
from ops.errors import OpsError, one_line
from ops.report.terminal import Say
from ops.report.words import count

_LARGEST_FILE_BYTES = 512 << 20
_HEAD_BYTES = 32
_LONGEST_PATH = 4096
_PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif")
)
"""A file with such a suffix counts as a photo, broken if it holds anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of photos with all its subfolders; hidden files are skipped."""

    path: Path
    judgement: Path | None = None
    """The owner's CSV (default: favourites.csv in the folder, if it exists)."""
    leave_out: Path | None = None
    """A subfolder to skip: the directory of the runs."""

    @property
    def title(self) -> str:
        """The folder's path, in one line."""
        return _shown(self.path)

    def candidates(self, say: Say) -> tuple[Candidate, ...]:
        """Find all photos by their content, whatever their names are.

        Raises:
            OpsError: when the folder or a subfolder is not readable, it contains no photos, or
                its CSV is invalid.
        """
        paths, others = self._walk()
        if not paths:
            raise OpsError(f"{self.title} contains no photos ({count(others, 'other file')})")
        originals = _originals(paths)
        if others:
            say(f"skipped {count(others, 'other file')}")
        names = [_text(path.relative_to(self.path)) for path in paths]
        csv = self.judgement or self.path / JUDGEMENT_FILE
        judged: Mapping[str, Judgement] = {}
        if self.judgement is not None or csv.is_file():
            judged = read_judgement(csv, names)
            say(f"read your judgement from {_shown(csv)}")
        candidates = []
        for path, name, original in zip(paths, names, originals, strict=True):
            photo_file = metadata(path)
            judgement = judged.get(name)
            rating = photo_file.rating if judgement is None else judgement.rating
            candidates.append(
                Candidate(
                    id=name,
                    name=name,
                    original=original,
                    favourite=None if judgement is None else judgement.favourite,
                    rating=rating,
                    taken_at=photo_file.taken_at,
                )
            )
        return tuple(candidates)

    def read(self, drawn: Sequence[Candidate]) -> Iterator[Original]:
        """Read the bytes of the drawn photos, in order."""
        paths = {_text(path.relative_to(self.path)): path for path in self._walk()[0]}
        for candidate in drawn:
            path = paths.get(candidate.id)
            try:
                if path is None:
                    yield Original(failure="image_missing")
                elif path.stat().st_size > _LARGEST_FILE_BYTES:
                    yield Original(failure="image_too_large")
                else:
                    yield Original(content=path.read_bytes())
            except OSError:
                yield Original(failure="image_unreadable")

    def _walk(self) -> tuple[list[Path], int]:
        """Find the photos, sorted by the bytes of their paths, and count other files.

        Raises:
            OpsError: when a folder is not readable: skipping it could change the result.
        """
        photos: list[Path] = []
        others = 0
        leave_out = None if self.leave_out is None else self.leave_out.resolve()
        seen: set[tuple[int, int]] = set()
        waiting = [self.path]
        while waiting:
            folder = waiting.pop()
            try:
                identity = folder.stat()
                # A link may lead back up, or to a folder that was visited already.
                if (identity.st_dev, identity.st_ino) in seen or folder.resolve() == leave_out:
                    continue
                entries = list(os.scandir(folder))
            except OSError as error:
                raise self._unreadable(folder, error) from error
            seen.add((identity.st_dev, identity.st_ino))
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = Path(entry.path)
                try:
                    mode = entry.stat().st_mode
                except OSError as error:
                    # A folder's names can be listed without the permission to enter it.
                    if isinstance(error, PermissionError) and not entry.is_symlink():
                        raise self._unreadable(folder, error) from error
                    others += 1
                    continue
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif stat.S_ISREG(mode) and _is_photo(path):
                    photos.append(path)
                elif path != (self.judgement or self.path / JUDGEMENT_FILE):
                    others += 1
        return sorted(photos, key=os.fsencode), others

    def _unreadable(self, folder: Path, error: OSError) -> OpsError:
        text = f"{_shown(folder)} cannot be read ({error.strerror})"
        if folder != self.path:
            text += f"; make it readable, or move it out of {self.title}"
        return OpsError(text)


def _is_photo(path: Path) -> bool:
    if path.suffix.lower() in _PHOTO_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return looks_like_photo(file.read(_HEAD_BYTES))
    except OSError:
        return False


def _originals(paths: Sequence[Path]) -> list[str]:
    """Return a value per file that is equal for equal files; only files of equal size are read."""
    sizes = [_size(path) for path in paths]
    counts = Counter(sizes)
    return [
        _digest(path) if counts[size] > 1 else f"only one of {size} bytes"
        for path, size in zip(paths, sizes, strict=True)
    ]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # The file has just been deleted; reading it will report that.


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return f"cannot be read: {os.fsencode(path)!r}"


def _text(path: Path) -> str:
    """Write a path as valid text: a file name may contain any byte but a slash."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def _shown(path: Path) -> str:
    return one_line(_text(path), limit=_LONGEST_PATH)
