"""The run's directory: every question and answer, so that no question is repeated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from ops.commands.bench.jsonl import Appender, read_lines, write_whole
from ops.commands.bench.loading import loading_of
from ops.commands.bench.results import NOT_THE_PHOTO, Answer, Key, Method, ModelRun, Photo, Run
from ops.errors import OpsError

PHOTOS = "photos.jsonl"
ALBUM = "album.json"
_HEADER = "run.json"
_JOURNAL = "journal.jsonl"

_Kind = TypeVar("_Kind", Photo, Key, ModelRun)


class Journal:
    """The only writer of a run."""

    def __init__(self, run_dir: Path, *, retry_failed: bool = False) -> None:
        """Open the run for appending.

        Args:
            run_dir: The run's directory.
            retry_failed: Whether failures that were not caused by the photo count as not asked.

        Raises:
            OpsError: when another command writes to it.
        """
        with ExitStack() as stack:
            self._answers = stack.enter_context(Appender(run_dir / "answers.jsonl"))
            self._journal = stack.enter_context(Appender(run_dir / _JOURNAL))
            self._stack = stack.pop_all()
        self.earlier = tuple(read_answers(run_dir))
        """The answers of all earlier sessions."""
        self.answered = {
            answer.key
            for answer in self.earlier
            if not retry_failed or answer.failure not in NOT_THE_PHOTO
        }
        """Questions that need no answer any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def answer(self, answer: Answer) -> None:
        """Append one answer; it is on disk when this returns."""
        self._answers.append(asdict(answer))
        self.answered.add(answer.key)

    def note(self, what: str, **facts: Any) -> None:
        """Append a note: a session, a load, or another event."""
        self._journal.append({"what": what, **facts})


def create(run_dir: Path, header: Mapping[str, Any]) -> None:
    """Create a run's directory.

    Args:
        run_dir: New, or empty.
        header: `id`, `started_at`, `source`, `random_weights`, `settings`.

    Raises:
        OpsError: when it contains something else, another command was faster, or it is not
            writable.
    """
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file of an earlier, killed attempt belongs to nobody.
        others = [
            path.name
            for path in run_dir.iterdir()
            if not path.name.startswith(f".{_HEADER}.") and path.name != _JOURNAL
        ]
    except OSError as error:
        raise OpsError(f"--run {run_dir} cannot be created ({error.strerror})") from error
    if others:
        raise OpsError(
            f"--run is {run_dir}, which contains {sorted(others)[0]!r} but no run; expected a new "
            "directory or a run's"
        )
    with Appender(run_dir / _JOURNAL):
        if (run_dir / _HEADER).exists():
            raise OpsError(
                f"another command has just started --run {run_dir}; resume it when that ends"
            )
        write_whole(run_dir / _HEADER, json.dumps(header, indent=2) + "\n")


def header_of(run_dir: Path) -> dict[str, Any] | None:
    """Read what a run was started with; None: it is not a run.

    Raises:
        OpsError: when its run.json cannot be read.
    """
    path = run_dir / _HEADER
    header = _read_object(path)
    if header is not None and not {"id", "source", "settings"} <= set(header):
        raise OpsError(f"{path} was not written by `bench`; expected a run's directory")
    return header


def read_photos(run_dir: Path) -> tuple[Photo, ...] | None:
    """Read the photos of a run; None: they were never written."""
    path = run_dir / PHOTOS
    if not path.is_file():
        return None
    return tuple(_parsed(Photo, line, path) for line in read_lines(path))


def read_album(run_dir: Path) -> dict[str, Any]:
    """Read what the photos of a run were drawn from, and how they were prepared."""
    return _read_object(run_dir / ALBUM) or {}


def read_answers(run_dir: Path) -> list[Answer]:
    """Read every answer on disk.

    Raises:
        OpsError: when a line before the last is not an answer.
    """
    path = run_dir / "answers.jsonl"
    answers = []
    for line in read_lines(path):
        try:
            answers.append(Answer(**line | {"key": Key(**line["key"])}))
        except (TypeError, KeyError) as error:
            raise OpsError(f"{path} contains a line that is not an answer ({error})") from error
    return answers


def read_journal(run_dir: Path, what: str) -> list[dict[str, Any]]:
    """Read the notes of one kind, in order."""
    return [line for line in read_lines(run_dir / _JOURNAL) if line.get("what") == what]


def load(run_dir: Path) -> Run:
    """Read a run as its last session sees it.

    Answers to another rubric, or by other files of a model, stay in the directory and are
    skipped here.

    Raises:
        OpsError: when it is not a run, or contains invalid lines.
    """
    header = header_of(run_dir)
    sessions = read_journal(run_dir, "session") if header else []
    if header is None or not sessions:
        raise OpsError(f"{run_dir} is not a run: run.json is missing, or nothing was asked yet")
    prompts = {session["method"]: session["prompt_sha256"] for session in sessions}
    entries = {entry["id"]: entry for session in sessions for entry in session["models"]}
    loads = read_journal(run_dir, "load")
    models = tuple(
        with_loads(_parsed(ModelRun, entry, run_dir), loads) for entry in entries.values()
    )
    current = {model.id: model.sha256 for model in models}
    answers = read_answers(run_dir)
    unique: dict[Key, Answer] = {}
    for answer in answers:
        is_current = (
            current.get(answer.model) == answer.key.model_sha256
            and prompts.get(answer.key.method) == answer.key.prompt_sha256
        )
        if is_current:
            # A repeated question counts where it was asked last.
            unique.pop(answer.key, None)
            unique[answer.key] = answer
    return Run(
        run_dir=run_dir,
        id=header["id"],
        started_at=header["started_at"],
        source=header["source"],
        provenance={
            **sessions[-1]["provenance"],
            "command": "\n".join(_commands(sessions)),
            "settings": header["settings"],
            **read_album(run_dir),
            "judged_again_at": [note["at"] for note in read_journal(run_dir, "judged again")],
            "thumbnails": sessions[-1]["thumbnails"],
            "prompts": {session["method"]: session["prompt"] for session in sessions},
            "engines": {
                load_note["model"]: load_note["engine"]
                for load_note in loads
                if "engine" in load_note
            },
        },
        models=models,
        photos=read_photos(run_dir) or (),
        answers=tuple(unique.values()),
        method=_method(sessions, unique),
        random_weights=bool(header.get("random_weights")),
        reached_by=tuple(sessions[-1].get("reached_by", ())),
        loading=loading_of(sessions, loads, answers),
    )


def _commands(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the commands that asked something new, without those that resumed."""
    commands: dict[str, str] = {}
    for session in sessions:
        models = [model["id"] for model in session["models"]]
        asked = [session["settings"] | {"models": models}, session["prompt_sha256"]]
        commands.setdefault(json.dumps(asked, sort_keys=True), session["provenance"]["command"])
    return list(commands.values())


def _method(sessions: Sequence[Mapping[str, Any]], answered: Iterable[Key]) -> Method | None:
    """Find the last method that has answers; None: there are no answers."""
    methods = {key.method for key in answered}
    return next(
        (session["method"] for session in reversed(sessions) if session["method"] in methods), None
    )


def with_loads(model: ModelRun, loads: list[dict[str, Any]]) -> ModelRun:
    """Add a model's first cold load, and how often another client caused a further load.

    Args:
        model: As declared in registry and lock.
        loads: A run's notes of kind `load`. Loads by the run itself, in a later session or after
            the forecast, count once.
    """
    cold = [
        load_note
        for load_note in loads
        if load_note["cold"]
        and (load_note["model"], load_note["model_sha256"]) == (model.id, model.sha256)
    ]
    own = [load_note for load_note in cold if load_note["by"] == "run"]
    return replace(
        model,
        loads=min(1, len(own)) + len(cold) - len(own),
        cold_load_s=own[0]["seconds"] if own else None,
    )


def _read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; another document reads as empty. None: there is no file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise OpsError(f"{path} cannot be read ({' '.join(str(error).split())[:120]})") from error
    return document if isinstance(document, dict) else {}


def _parsed(kind: type[_Kind], line: Mapping[str, Any], path: Path) -> _Kind:
    known = {field.name for field in fields(kind)}
    try:
        return kind(**{name: value for name, value in line.items() if name in known})
    except TypeError as error:
        raise OpsError(
            f"{path} contains a line that is not a {kind.__name__} ({error})"
        ) from error
