"""Resolve the registry's models to commit, files, sha256 and headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.file import VERSION, read_document, read_entry
from llama_swap_config.lock.locked import (
    READ_FROM_FILE,
    Lock,
    LockedFile,
    Role,
    lock_model,
)
from llama_swap_config.lock.stand_in import STAND_IN_COMMIT, is_stand_in, stand_in_problem
from llama_swap_config.model import Model
from ops.errors import OpsError
from ops.report.terminal import Say


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLock:
    """A lock as it is on disk, including entries that are invalid or of an older version."""

    entries: Lock
    unusable: Mapping[str, str]
    """Model id -> why its entry is invalid; it has to be locked again."""
    commits: Mapping[str, tuple[str, str]]
    """Model id -> its repository and commit, including those of invalid entries."""

    def problem(self, model: Model) -> str:
        """Why a model has to be locked again; empty if it does not."""
        if model.id in self.unusable:
            return self.unusable[model.id]
        try:
            locked = lock_model(model, self.entries.get(model.id, ()))
        except ConfigError as error:
            return str(error)
        return stand_in_problem(model.id) if is_stand_in(locked.files) else ""

    def revision(self, model: Model) -> str:
        """The locked commit of a model if its repository is unchanged; otherwise main."""
        repository, commit = self.commits.get(model.id, ("", ""))
        is_known = len(commit) == 40 and commit != STAND_IN_COMMIT
        return commit if repository == model.repository and is_known else "main"

    def unused(self, models: Sequence[Model]) -> tuple[str, ...]:
        """List the locked entries, and files of entries, that no model of the registry uses."""
        by_id = {model.id: model for model in models}
        names: list[str] = []
        for model_id, files in self.entries.items():
            model = by_id.get(model_id)
            if model is None:
                names.append(f"model {model_id!r}")
            elif not self.problem(model):
                needed = lock_model(model, files).files
                names += [f"{model_id}: {file.name}" for file in files if file not in needed]
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
    entries: dict[str, tuple[LockedFile, ...]] = {}
    unusable: dict[str, str] = {}
    commits: dict[str, tuple[str, str]] = {}
    for model_id, entry in models.items():
        subject = f"{path.name}: model {model_id!r}"
        if isinstance(entry, dict):
            commits[model_id] = (str(entry.get("repository")), str(entry.get("revision")))
        if version < VERSION:
            unusable[model_id] = f"{subject} is locked in version {version}, without headers"
            continue
        try:
            entries[model_id] = read_entry(subject, entry)
        except ConfigError as error:
            unusable[model_id] = str(error)
    return KnownLock(entries=entries, unusable=unusable, commits=commits)


def resolve(
    model: Model,
    revision: str,
    *,
    locked: tuple[LockedFile, ...] = (),
    named: Sequence[str] = (),
    say: Say,
) -> tuple[LockedFile, ...]:
    """Find a model's files at the hub and read their headers.

    Args:
        model: The model.
        revision: A branch or commit of its repository.
        locked: Its locked files, whose names are preferred if several files match.
        named: File names from --file.
        say: Takes a line of progress.

    Returns:
        The weights and, for a vision model, the projector.

    Raises:
        OpsError: when the hub fails, no single file matches, or a header is invalid.
    """
    from ops.commands.lock.file_choice import choose_file
    from ops.gguf.header import read_header
    from ops.hub.files import HubSource, find_revision

    subject = f"model {model.id!r}"
    try:
        repository = find_revision(model.repository, revision)
        wanted: list[tuple[Role, str]] = [("model", model.quantisation)]
        if model.projector is not None:
            wanted.append(("mmproj", model.projector))
        chosen = [
            (role, quantisation, choose_file(
                model.repository, repository.files, role, quantisation, named=named,
                locked=next((file.name for file in locked if file.role == role), ""),
            ))
            for role, quantisation in wanted
        ]  # fmt: skip
        _check_named(model.repository, named, [file.name for _, _, file in chosen])
        files: list[LockedFile] = []
        for role, quantisation, file in chosen:
            source = HubSource(
                repository=model.repository,
                commit=repository.commit,
                name=file.name,
                size_bytes=file.size_bytes,
            )
            say(f"{model.id}: read the header of {file.name} ({file.size_bytes / 2**30:.2f} GiB)")
            files.append(
                LockedFile(
                    role=role,
                    repository=model.repository,
                    revision=repository.commit,
                    name=file.name,
                    quantisation=quantisation,
                    size_bytes=file.size_bytes,
                    sha256=file.sha256,
                    header=read_header(source, role),
                    header_source=READ_FROM_FILE,
                )
            )
    except OpsError as error:
        raise OpsError(f"{subject}: {error}") from error
    return tuple(files)


def _check_named(repository: str, named: Sequence[str], chosen: Sequence[str]) -> None:
    for name in named:
        if name not in chosen:
            raise OpsError(
                f"{repository}: --file is {name!r}; expected a file of that quantisation. Without "
                f"--file: {', '.join(chosen)}."
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
    named: Sequence[str] = (),
    say: Say,
) -> Resolved:
    """Lock models again; a model that fails keeps its entry, and the others are locked.

    Args:
        models: The models to lock.
        known: The present lock.
        registry: The ids of all models; invalid entries of other ids are dropped.
        moving: Whether models move to the newest commit of `main`; otherwise a model keeps its
            commit while its repository stays the same.
        named: File names from --file.
        say: Takes a line of progress.

    Raises:
        OpsError: when an invalid entry could not be locked again: writing the lock would lose
            its pins.
    """
    lock = dict(known.entries)
    failures: dict[str, str] = {}
    for model in models:
        revision = "main" if moving else known.revision(model)
        say(f"{model.id}: {model.repository} at {revision}")
        locked = known.entries.get(model.id, ())
        try:
            lock[model.id] = resolve(model, revision, locked=locked, named=named, say=say)
        except OpsError as error:
            failures[model.id] = str(error)
    for model_id, reason in known.unusable.items():
        if model_id not in lock and model_id in registry:
            cause = failures.get(model_id, f"{reason} Lock it too.")
            raise OpsError(f"the lock is unchanged: {cause}")
    return Resolved(lock=lock, failures=failures)
