"""The owner's judgement of a folder's photos: a CSV beside them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ops.commands.bench.album.source import Candidate
from ops.commands.bench.results import Photo
from ops.errors import OpsError, one_line

JUDGEMENT_FILE = "favourites.csv"
"""The CSV's name."""

_COLUMNS = ("name", "favourite", "rating")
_YES = ("1", "true", "yes", "y", "x")
_NO = ("0", "false", "no", "n", "")
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The owner's judgement of one photo."""

    favourite: bool | None = None
    rating: int | None = None


def merged(equal: Sequence[Judgement | Candidate | Photo]) -> Judgement:
    """Merge the judgements of equal photos: any favourite wins, then the first rating."""
    favourites = [photo.favourite for photo in equal if photo.favourite is not None]
    return Judgement(
        favourite=any(favourites) if favourites else None,
        rating=next((photo.rating for photo in equal if photo.rating is not None), None),
    )


def read_judgement(path: Path, names: Iterable[str]) -> Mapping[str, Judgement]:
    """Read the owner's favourites and ratings.

    Args:
        path: The CSV, with the columns `name` and `favourite` or `rating`, or `name` alone for a
            list of favourites, separated by commas, semicolons or tabs.
        names: The photos' paths in the folder. A row names a photo by its path, or by its file
            name if that is unique.

    Returns:
        One judgement per photo. If the CSV has favourites, a photo without a row is not one.

    Raises:
        OpsError: for an unreadable file, and for an invalid row, which would otherwise be
            ignored silently.
    """
    rows = _rows(path)
    by_name = {name: name for name in names}
    shorts = Counter(PurePosixPath(name).name for name in by_name)
    for name in tuple(by_name):
        short = PurePosixPath(name).name
        if shorts[short] == 1:
            by_name.setdefault(short, name)
    favourites = bool(rows) and ("favourite" in rows[0] or "rating" not in rows[0])
    default = Judgement(favourite=False if favourites else None)
    judgements = dict.fromkeys(by_name.values(), default)
    unknown: list[str] = []
    for number, row in enumerate(rows, start=2):
        named = by_name.get(row["name"])
        if named is None:
            if shorts[row["name"]] > 1:
                raise OpsError(
                    f"{path} line {number}: name is {one_line(row['name'])!r}; expected a path, "
                    "because several photos have this name"
                )
            unknown.append(one_line(row["name"]))
            continue
        judgements[named] = Judgement(
            favourite=_favourite(path, number, row) if favourites else None,
            rating=_rating(path, number, row),
        )
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise OpsError(
            f"{path} names {', '.join(map(repr, unknown[:_SHOWN]))}{more}; expected paths of "
            "photos in the folder. Correct the rows or remove them."
        )
    return judgements


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OpsError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise OpsError(f"{path} is not UTF-8; save it as CSV UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        # As with universal newlines: a quoted name may contain a line end.
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise OpsError(f"{path} is not a CSV file ({error})") from error
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "name" not in columns or not set(columns) <= set(_COLUMNS):
        raise OpsError(
            f"the columns of {path} are {', '.join(map(repr, columns)) or 'missing'}; "
            f"expected {', '.join(_COLUMNS)}, of which the first is required"
        )
    return [
        {**dict.fromkeys(columns, ""), **dict(zip(columns, row, strict=False))}
        for row in rows[1:]
        if any(cell.strip() for cell in row)
    ]


def _favourite(path: Path, number: int, row: Mapping[str, str]) -> bool:
    if "favourite" not in row:
        return True
    text = row["favourite"].strip().lower()
    if text not in _YES + _NO:
        raise OpsError(
            f"{path} line {number}: favourite is {one_line(text)!r}; expected 1 or 0, yes or no"
        )
    return text in _YES


def _rating(path: Path, number: int, row: Mapping[str, str]) -> int | None:
    text = row.get("rating", "").strip()
    if text in ("", "0"):
        return None
    if text not in ("-1", "1", "2", "3", "4", "5"):
        raise OpsError(
            f"{path} line {number}: rating is {one_line(text)!r}; expected 1 to 5, -1 for "
            "rejected, or empty for unrated"
        )
    return int(text)
