"""The owner's judgement of a folder's photos: a CSV beside them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ops.commands.bench.album.source import Candidate
from ops.commands.bench.results import Photo
from ops.errors import OpsError, one_line
from ops.report.composed import composed
from ops.report.words import count

JUDGEMENT_FILE = "favourites.csv"
"""The CSV's name."""

_COLUMNS = ("name", "favourite", "rating")
_LONGEST_PATH = 4096
_SPELLED = {"favorite": "favourite"}
_YES = ("true", "yes", "y", "x")
_NO = ("false", "no", "n", "")


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
        path: The CSV as a spreadsheet writes it, with the columns `name` and `favourite` or
            `rating`, or `name` alone for a list of favourites.
        names: The photos' paths in the folder. A row names a photo by its path, or by its file
            name if that is unique.

    Returns:
        One judgement per photo. If the CSV has favourites, a photo without a row is not one.

    Raises:
        OpsError: for an unreadable file, and for invalid rows, which would otherwise be ignored
            silently: the first by its line, and the number of the others.
    """
    columns, rows = _table(path)
    called: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for text in (name, PurePosixPath(name).name):
            called[composed(text)].add(name)
    favourites = "favourite" in columns or "rating" not in columns
    judgements: dict[str, Judgement] = {}
    lines: dict[str, int] = {}
    wrong: list[str] = []
    for number, row in rows:
        try:
            name = _named(row["name"], called)
            judgement = Judgement(
                favourite=_favourite(row) if favourites else None, rating=_rating(row)
            )
            if judgements.setdefault(name, judgement) != judgement:
                text = one_line(row["name"])
                raise _RowError(
                    f"{text!r} is judged differently in line {lines[name]}; expected one "
                    "judgement per photo"
                )
            lines.setdefault(name, number)
        except _RowError as error:
            wrong.append(f"{_shown(path)} line {number}: {error}")
    if wrong:
        more = f" ({count(len(wrong) - 1, 'more line')} with errors)" if len(wrong) > 1 else ""
        raise OpsError(f"{wrong[0]}{more}")
    default = Judgement(favourite=False if favourites else None)
    everybody = set().union(*called.values())
    return dict.fromkeys(everybody, default) | judgements


class _RowError(Exception):
    """What is wrong with one row."""


def _named(text: str, called: Mapping[str, set[str]]) -> str:
    """Return the photo that a row names, in any Unicode form."""
    named = called.get(composed(text)) or called.get(composed(text.strip()), set())
    # A path comes before an equal file name in a subfolder.
    for name in (text, composed(text), composed(text.strip())):
        if name in named:
            return name
    if len(named) > 1:
        raise _RowError(
            f"name is {one_line(text)!r}; expected a path, because several photos have this name"
        )
    if not named:
        raise _RowError(
            f"name is {one_line(text)!r}; expected the path of a photo in the folder. Correct or "
            "remove the line."
        )
    return next(iter(named))


def _table(path: Path) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """Return the columns, and each row with the number of its first line; empty rows are skipped.

    Raises:
        OpsError: when it is not a table with the right columns.
    """
    text = _decoded(path)
    # Excel reads a CSV by such a line, and some programs write it.
    hint = re.match(r"sep=([^\w\s\"]|\t)\r?\n", text)
    first = 2 if hint else 1
    text = text[hint.end() :] if hint else text
    delimiter = hint[1] if hint else max(",;\t", key=text.partition("\n")[0].count)
    # As with universal newlines: a quoted name may contain a line end.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table: list[tuple[int, list[str]]] = []
    try:
        begin = first
        for row in reader:
            if any(cell.strip() for cell in row):
                table.append((begin, row))
            begin = first + reader.line_num
    except csv.Error as error:
        raise OpsError(f"{_shown(path)} is not a CSV file ({one_line(str(error))})") from error
    named = [cell.strip().lower() for cell in table[0][1]] if table else []
    columns = tuple(_SPELLED.get(name, name) for name in _without_empty_end(named))
    if (
        "name" not in columns
        or not set(columns) <= set(_COLUMNS)
        or len(set(columns)) < len(columns)
    ):
        shown = one_line(", ".join(map(repr, columns))) or "missing"
        raise OpsError(
            f"the columns of {_shown(path)} are {shown}; expected {', '.join(_COLUMNS)}, of "
            "which the first is required"
        )
    rows = []
    for number, cells in table[1:]:
        cells = _without_empty_end(cells)
        if len(cells) > len(columns):
            raise OpsError(
                f"{_shown(path)} line {number}: {len(cells)} cells; expected {len(columns)}. Put "
                f"a name with {delimiter!r} in double quotes."
            )
        cells += [""] * (len(columns) - len(cells))
        rows.append((number, dict(zip(columns, cells, strict=True))))
    return columns, rows


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OpsError(f"{_shown(path)} cannot be read ({error.strerror})") from error
    # Excel's "Unicode Text" is UTF-16 with a byte order mark.
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf_16 else "utf-8")
    except UnicodeDecodeError as error:
        raise OpsError(f"{_shown(path)} is not UTF-8; save it as CSV UTF-8") from error
    return text.removeprefix("\ufeff")


def _shown(path: Path) -> str:
    return one_line(str(path), limit=_LONGEST_PATH)


def _without_empty_end(cells: Sequence[str]) -> list[str]:
    filled = len(cells)
    while filled and not cells[filled - 1].strip():
        filled -= 1
    return list(cells[:filled])


def _favourite(row: Mapping[str, str]) -> bool:
    if "favourite" not in row:
        return True
    text = row["favourite"].strip().lower()
    number = _whole(text)
    if number in (0, 1):
        return number == 1
    if text not in _YES + _NO:
        raise _RowError(f"favourite is {one_line(text)!r}; expected 1 or 0, yes or no")
    return text in _YES


def _rating(row: Mapping[str, str]) -> int | None:
    text = row.get("rating", "").strip()
    rating = 0 if not text else _whole(text)
    if rating not in range(-1, 6):
        raise _RowError(
            f"rating is {one_line(text)!r}; expected 1 to 5, -1 for rejected, or empty for unrated"
        )
    return rating or None


def _whole(text: str) -> int | None:
    """Return a whole number, also as a spreadsheet writes it: `4.0`, or `4,0`."""
    match = re.fullmatch(r"([-\u2212]?)([0-9])(?:[.,]0*)?", text)
    return None if match is None else int(match[2]) * (-1 if match[1] else 1)
