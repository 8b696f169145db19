"""The photos of a folder, with the owner's judgement from a CSV."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.commands.bench.album.foreign import is_foreign
from ops.commands.bench.album.judgement import JUDGEMENT_FILE, Judgement, read_judgement
from ops.commands.bench.album.prepare import LARGEST_FILE_BYTES, looks_like_photo, metadata
from ops.commands.bench.album.source import Candidate, Original
from ops.errors import OpsError, one_line
from ops.report.composed import composed
from ops.report.terminal import Say
from ops.report.words import count

_HEAD_BYTES = 32
_LONGEST_PATH = 4096
_SHOWN = 3
_PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif")
)
"""A file with such a suffix counts as a photo, broken if it holds anything else."""


@dataclass(slots=True, kw_only=True)
class _Walk:
    """What a folder contains."""

    photos: list[Path] = field(default_factory=list)
    others: int = 0
    foreign: Counter[str] = field(default_factory=Counter)
    """Names of what other programs made; a folder counts once."""

    @property
    def skipped(self) -> str:
        """What was not taken for a photo; empty: nothing."""
        texts = [count(self.others, "other file")] if self.others else []
        if self.foreign:
            names = sorted(self.foreign)
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            texts.append(
                f"{self.foreign.total()} of thumbnail folders, bins and hidden files "
                f"({', '.join(map(one_line, names[:_SHOWN]))}{more})"
            )
        return "; ".join(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of photos with all its subfolders."""

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
        walk = self._walk()
        paths = walk.photos
        if not paths:
            raise OpsError(f"{self.title} contains no photos ({walk.skipped or '0 other files'})")
        originals = _originals(paths)
        if walk.skipped:
            say(f"skipped {walk.skipped}")
        names = self._names(paths)
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
        photos = self._walk().photos
        paths = dict(zip(self._names(photos), photos, strict=True))
        for candidate in drawn:
            path = paths.get(candidate.id)
            try:
                if path is None:
                    yield Original(failure="image_missing")
                elif path.stat().st_size > LARGEST_FILE_BYTES:
                    yield Original(failure="image_too_large")
                else:
                    yield Original(content=path.read_bytes())
            except OSError:
                yield Original(failure="image_unreadable")

    def _names(self, paths: Sequence[Path]) -> list[str]:
        """Name photos by their paths in one Unicode form, unless two would have one name."""
        below = [path.relative_to(self.path) for path in paths]
        texts = [_text(path) for path in below]
        forms = [*map(composed, texts)], texts, [repr(os.fsencode(path)) for path in below]
        counts = [Counter(form) for form in forms]
        return [
            next(name for name, names in zip(each, counts, strict=True) if names[name] == 1)
            for each in zip(*forms, strict=True)
        ]

    def _walk(self) -> _Walk:
        """Find the photos, sorted by the bytes of their paths, and count everything else.

        Raises:
            OpsError: when a folder is not readable: skipping it could change the result.
        """
        walk = _Walk()
        leave_out = None if self.leave_out is None else self.leave_out.resolve()
        seen: set[tuple[int, int]] = set()
        waiting = [self.path]
        while waiting:
            folder = waiting.pop()
            try:
                identity = folder.stat()
                real = folder.resolve()
                # A link may lead back up, or to a folder that was visited already.
                if (identity.st_dev, identity.st_ino) in seen or real == leave_out:
                    continue
                entries = list(os.scandir(folder))
            except OSError as error:
                raise self._unreadable(folder, error) from error
            seen.add((identity.st_dev, identity.st_ino))
            for entry in entries:
                path = Path(entry.path)
                if is_foreign(entry.name, folder=real.name):
                    walk.foreign[_text(Path(entry.name))] += 1
                    continue
                try:
                    mode = entry.stat().st_mode
                except OSError as error:
                    # A folder's names can be listed without the permission to enter it.
                    if isinstance(error, PermissionError) and not entry.is_symlink():
                        raise self._unreadable(folder, error) from error
                    walk.others += 1
                    continue
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif stat.S_ISREG(mode) and _is_photo(path):
                    walk.photos.append(path)
                elif path != (self.judgement or self.path / JUDGEMENT_FILE):
                    walk.others += 1
        walk.photos.sort(key=os.fsencode)
        return walk

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
