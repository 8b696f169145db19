"""Resolve the registry's models to commit, files, sha256 and headers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.file import VERSION, read_document, read_entry
from llama_swap_config.lock.locked import (
    NO_ENTRY,
    READ_FROM_FILE,
    Lock,
    LockedFile,
    LockEntry,
    Wanted,
    lock_model,
    wanted_projector,
    wanted_weights,
)
from llama_swap_config.lock.memory import Measured
from llama_swap_config.lock.stand_in import STAND_IN_COMMIT, is_stand_in, stand_in_problem
from llama_swap_config.model import Model
from ops.errors import OpsError
from ops.report.terminal import Say

if TYPE_CHECKING:
    from ops.hub.files import HubRevision


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLock:
    """A lock as it is on disk, including entries that are invalid or of an older version."""

    entries: Lock
    unusable: Mapping[str, str]
    """Model id -> why its entry is invalid; it has to be locked again."""
    commits: Mapping[str, Mapping[str, str]]
    """Model id -> repository -> its commit, including those of invalid entries."""

    def problem(self, model: Model) -> str:
        """Why a model has to be locked again; empty if it does not."""
        if model.id in self.unusable:
            return self.unusable[model.id]
        try:
            locked = lock_model(model, self.entries.get(model.id, NO_ENTRY))
        except ConfigError as error:
            return str(error)
        return stand_in_problem(model.id) if is_stand_in(locked.files) else ""

    def revision(self, model: Model, repository: str) -> str:
        """The locked commit of a model's repository; main if it is not locked."""
        commit = self.commits.get(model.id, {}).get(repository, "")
        is_known = len(commit) == 40 and commit != STAND_IN_COMMIT
        return commit if is_known else "main"

    def unused(self, models: Sequence[Model]) -> tuple[str, ...]:
        """List the locked entries, and files of entries, that no model of the registry uses."""
        by_id = {model.id: model for model in models}
        names: list[str] = []
        for model_id, entry in self.entries.items():
            model = by_id.get(model_id)
            if model is None:
                names.append(f"model {model_id!r}")
            elif not self.problem(model):
                needed = lock_model(model, entry).files
                names += [f"{model_id}: {file.name}" for file in entry.files if file not in needed]
        return (*names, *(f"model {name!r}" for name in self.unusable if name not in by_id))


def read_known(path: Path) -> KnownLock:
    """Read the valid entries of a lock.

    Args:
        path: The lock file; a missing file is an empty lock.

    Raises:
        ConfigError: when it is not JSON, or its version is newer than this program's.
    """
    document = read_document(path) if path.exists() else {"version": VERSION, "models": {}}
    version, models = document.get("version"), document.get("models")
    if type(version) is not int or not 1 <= version <= VERSION or not isinstance(models, dict):
        raise ConfigError.of(
            path.name, "version", version, expected=f"1 to {VERSION}, with models",
            remedy="Restore it from git",
        )  # fmt: skip
    entries: dict[str, LockEntry] = {}
    unusable: dict[str, str] = {}
    commits: dict[str, Mapping[str, str]] = {}
    for model_id, entry in models.items():
        subject = f"{path.name}: model {model_id!r}"
        if isinstance(entry, dict):
            commits[model_id] = _commits(entry)
        if version < VERSION:
            unusable[model_id] = f"{subject} is locked in version {version}; expected {VERSION}"
            continue
        try:
            entries[model_id] = read_entry(subject, entry)
        except ConfigError as error:
            unusable[model_id] = str(error)
    return KnownLock(entries=entries, unusable=unusable, commits=commits)


def _commits(entry: dict[str, Any]) -> dict[str, str]:
    """Read each repository's commit from an entry that may be invalid."""
    files = entry.get("files")
    objects = [entry, *(files if isinstance(files, list) else ())]
    shared = {name: entry.get(name) for name in ("repository", "revision")}
    pinned = [shared | values for values in objects if isinstance(values, dict)]
    return {str(it["repository"]): str(it["revision"]) for it in pinned}


def resolve(
    model: Model,
    revision_of: Callable[[str], str],
    *,
    locked: tuple[LockedFile, ...] = (),
    say: Say,
) -> tuple[LockedFile, ...]:
    """Find a model's files at the hub and read their headers.

    Args:
        model: The model.
        revision_of: Returns the branch or commit to take of a repository.
        locked: Its locked files, whose names are preferred if several match.
        say: Takes a line of progress.

    Returns:
        The weights' files and, for a vision model, the projector.

    Raises:
        OpsError: when the hub fails, no single file matches, or a header is invalid.
    """
    from ops.hub.files import find_revision

    wanted = [it for it in (wanted_weights(model), wanted_projector(model)) if it is not None]
    try:
        repositories = {}
        for name in dict.fromkeys(it.repository for it in wanted):
            say(f"{model.id}: {name} at {revision_of(name)}")
            repositories[name] = find_revision(name, revision_of(name))
        return tuple(
            file
            for it in wanted
            for file in _resolve_role(model, it, repositories[it.repository], locked, say)
        )
    except OpsError as error:
        raise OpsError(f"model {model.id!r}: {error}") from error


def _resolve_role(
    model: Model,
    wanted: Wanted,
    repository: HubRevision,
    locked: tuple[LockedFile, ...],
    say: Say,
) -> Iterator[LockedFile]:
    """Choose the files of one role, and read their headers."""
    from ops.commands.lock.file_choice import choose_file
    from ops.engine.headers import KeptHeader
    from ops.gguf.header import read_header
    from ops.hub.files import HubSource

    names = [file.name for file in locked if file.role == wanted.role]
    choice = choose_file(repository.files, wanted, locked=next(iter(names), ""))
    say(f"{model.id}: {choice}")
    kept = [
        KeptHeader(
            source=HubSource(
                repository=wanted.repository,
                commit=repository.commit,
                name=file.name,
                size_bytes=file.size_bytes,
            ),
            sha256=file.sha256,
        )
        for file in choice.files
    ]
    header = read_header(kept[0], wanted.role, parts=kept[1:])
    for part in kept:
        part.keep()
    for file in choice.files:
        yield LockedFile(
            role=wanted.role,
            repository=wanted.repository,
            revision=repository.commit,
            name=file.name,
            quantisation=wanted.quantisation,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            header=header if file is choice.files[0] else None,
            header_source=READ_FROM_FILE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The result of a run."""

    lock: Lock
    """The new lock."""
    failures: Mapping[str, str]
    """Model id -> why it could not be locked."""


def resolve_models(
    models: Sequence[Model],
    known: KnownLock,
    *,
    registry: Collection[str],
    moving: bool,
    say: Say,
) -> Resolved:
    """Lock models again; a model that fails keeps its entry, and the others are locked.

    Args:
        models: The models to lock.
        known: The present lock.
        registry: The ids of all models; invalid entries of other ids are dropped.
        moving: Whether models move to the newest commit of `main`; otherwise a model keeps its
            commit while its repository stays the same.
        say: Takes a line of progress.

    Raises:
        OpsError: when an invalid entry could not be locked again: writing the lock would lose
            its pins.
    """
    lock = dict(known.entries)
    failures: dict[str, str] = {}
    for model in models:
        revision_of = partial(known.revision, model) if not moving else lambda _: "main"
        entry = known.entries.get(model.id, NO_ENTRY)
        try:
            files = resolve(model, revision_of, locked=entry.files, say=say)
            lock[model.id] = LockEntry(files=files, memory=_still_true(entry.memory, files))
        except OpsError as error:
            failures[model.id] = str(error)
    for model_id, reason in known.unusable.items():
        if model_id not in lock and model_id in registry:
            cause = failures.get(model_id, f"{reason} Lock it too.")
            raise OpsError(f"the lock is unchanged: {cause}")
    return Resolved(lock=lock, failures=failures)


def _still_true(memory: Sequence[Measured], files: Sequence[LockedFile]) -> tuple[Measured, ...]:
    """Keep the figures of files that stayed the same."""
    known = {file.sha256 for file in files}
    return tuple(measured for measured in memory if known.issuperset(measured.sha256))
