"""The record of a publication and of the values it replaced: RUN/published-N.json."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ops.commands.bench.jsonl import write_whole
from ops.errors import OpsError, writing

Target = Literal["rating", "tag", "album"]
State = Literal["begun", "done", "undone"]

_NAME = re.compile(r"published-(\d+)\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One changed photo."""

    asset_id: str
    name: str
    score: float
    before: int | None
    """Its rating before; None for a tag or an album, which did not have it."""
    after: int | None
    """Its new rating; None for a tag or an album."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One publication; written before anything is changed."""

    number: int
    server: str
    """Immich's address."""
    target: Target
    model: str
    label: str
    """The tag's path or the album's name; empty for ratings."""
    entries: tuple[Entry, ...]
    created: tuple[str, ...] = ()
    """Paths of the tags, or name of the album, that this publication creates."""
    object_id: str = ""
    """Id of the tag or album; empty until it exists."""
    mark: str = ""
    """Written into a new album's description, so that a retry finds it."""
    state: State = "begun"


@contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Let only one command at a time change Immich for a run: each reads the other's record.

    Raises:
        OpsError: when another command does, or the directory is not writable.
    """
    path = run_dir / "publish.lock"
    with writing(path):
        lock = path.open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OpsError(
                f"another `publish` or `undo` of {run_dir} is running; wait until it ends"
            ) from error
        yield


def read_records(run_dir: Path) -> tuple[Record, ...]:
    """Read all publications of a run, the earliest first.

    Raises:
        OpsError: for an invalid file.
    """
    records = []
    for path in run_dir.glob("published-*.json"):
        if _NAME.fullmatch(path.name) is None:
            continue
        try:
            document: dict[str, Any] = json.loads(path.read_text("utf-8"))
            entries = tuple(Entry(**entry) for entry in document.pop("entries"))
            created = tuple(document.pop("created"))
            records.append(Record(**document, entries=entries, created=created))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise OpsError(f"{path} cannot be read ({error})") from error
    return tuple(sorted(records, key=lambda record: record.number))


def write_record(run_dir: Path, record: Record) -> None:
    """Write a publication atomically.

    Raises:
        OpsError: when it is not writable; then nothing may be changed.
    """
    path = run_dir / f"published-{record.number}.json"
    text = json.dumps(dataclasses.asdict(record), indent=2) + "\n"
    write_whole(path, text)
