"""From the registry's wishes to the lock: which commit, file, bytes and header each of them is."""

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
from llama_swap_config.model import Model
from ops.errors import OpsError
from ops.report.terminal import Say


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLock:
    """A lock as it is, also where some of it, or all of an older version, cannot be used."""

    entries: Lock
    unusable: Mapping[str, str]
    """Model id -> why its entry cannot be used; it has to be locked anew."""
    commits: Mapping[str, tuple[str, str]]
    """Model id -> its repository and commit, also of unusable entries."""

    def problem(self, model: Model) -> str:
        """Why a model has to be locked anew; empty: it has not."""
        if model.id in self.unusable:
            return self.unusable[model.id]
        try:
            lock_model(model, self.entries.get(model.id, ()))
        except ConfigError as error:
            return str(error)
        return ""

    def revision(self, model: Model) -> str:
        """The commit at which a model is locked, while its repository is the same; else main."""
        repository, commit = self.commits.get(model.id, ("", ""))
        return commit if repository == model.repository and len(commit) == 40 else "main"

    def unused(self, models: Sequence[Model]) -> tuple[str, ...]:
        """What is locked and no model of the registry needs: entries, and files of entries."""
        by_id = {model.id: model for model in models}
        names: list[str] = []
        for model_id, files in self.entries.items():
            model = by_id.get(model_id)
            if model is None:
                names.append(f"model {model_id!r}")
            elif not self.problem(model):
                needed = lock_model(model, files).files
                names += [f"{model_id}: {file.name}" for file in files if file not in needed]
        return (*names, *(f"model {each!r}" for each in self.unusable if each not in by_id))


def read_known(path: Path) -> KnownLock:
    """Read what can be used of a lock.

    Args:
        path: The lock file; where there is none, nothing is locked.

    Raises:
        ConfigError: when it is no JSON, or of a newer version than this program's.
    """
    document = read_document(path) if path.exists() else {"version": VERSION, "models": {}}
    version, models = document.get("version"), document.get("models")
    if type(version) is not int or not 1 <= version <= VERSION or not isinstance(models, dict):
        raise ConfigError.of(
            path.name, "version", version, allowed=f"1 to {VERSION}, with models",
            remedy="restore it from git",
        )  # fmt: skip
    entries: dict[str, tuple[LockedFile, ...]] = {}
    unusable: dict[str, str] = {}
    commits: dict[str, tuple[str, str]] = {}
    for model_id, entry in models.items():
        subject = f"{path.name}: model {model_id!r}"
        if isinstance(entry, dict):
            commits[model_id] = (str(entry.get("repository")), str(entry.get("revision")))
        if version < VERSION:
            unusable[model_id] = f"{subject}: is locked in version {version}, without headers"
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
        locked: What is locked for it; its names decide where several files are possible.
        named: File names that the operator decides for.
        say: Takes a line of progress.

    Returns:
        The weights and, for a vision model, the projector.

    Raises:
        OpsError: when the hub, the choice of a file, or a header is not as it should be.
    """
    from ops.commands.lock.file_choice import choose_file
    from ops.gguf.header import read_header
    from ops.hub.files import HubSource, find_revision

    subject = f"model {model.id!r}"
    try:
        found = find_revision(model.repository, revision)
        wanted: list[tuple[Role, str]] = [("model", model.quantisation)]
        if model.projector is not None:
            wanted.append(("mmproj", model.projector))
        chosen = [
            (role, quantisation, choose_file(
                model.repository, found.files, role, quantisation, named=named,
                locked=next((file.name for file in locked if file.role == role), ""),
            ))
            for role, quantisation in wanted
        ]  # fmt: skip
        _check_named(model.repository, named, [file.name for _, _, file in chosen])
        files: list[LockedFile] = []
        for role, quantisation, file in chosen:
            source = HubSource(
                repository=model.repository,
                commit=found.commit,
                name=file.name,
                size_bytes=file.size_bytes,
            )
            say(f"{model.id}: the header of {file.name} ({file.size_bytes / 2**30:.2f} GiB)")
            files.append(
                LockedFile(
                    role=role,
                    repository=model.repository,
                    revision=found.commit,
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
                f"{repository}: --file {name} is none of its files of that quantisation; without "
                f"it: {', '.join(chosen)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What came of a run."""

    lock: Lock
    """The lock as it should be from now on."""
    failures: Mapping[str, str]
    """Model id -> why it is left as it was."""


def resolve_models(
    models: Sequence[Model],
    known: KnownLock,
    *,
    registry: Collection[str],
    moving: bool,
    named: Sequence[str] = (),
    say: Say,
) -> Resolved:
    """Lock models anew; where one cannot be, it keeps what it has and the others go on.

    Args:
        models: Those to be locked.
        known: The lock as it is.
        registry: The ids of all models: an entry of another id that cannot be used is dropped.
        moving: Whether they move to the newest commit of `main`; otherwise a model whose
            repository stays keeps its commit.
        named: File names that the operator decides for.
        say: Takes a line of progress.

    Raises:
        OpsError: when an entry that cannot be used could not be locked anew: without it, what it
            pins would be lost.
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
            cause = failures.get(model_id, f"{reason}; lock it too")
            raise OpsError(f"{cause}; the lock is left as it was")
    return Resolved(lock=lock, failures=failures)
