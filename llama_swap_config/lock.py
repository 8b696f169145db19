"""models.lock.json: the exact files behind each model of the registry.

The registry says what is wanted (repository, quantisation, projector); the lock says which bytes
that is (revision, file, size, sha256). What the lock does not cover fails here, so the download
Job never has to guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llama_swap_config.errors import ConfigError
from llama_swap_config.model import Model

LOCK_PATH = Path(__file__).with_name("models.lock.json")

_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{40}|main")
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*\.gguf", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file of the hub, down to its bytes."""

    role: Literal["model", "mmproj"]
    repository: str
    revision: str
    """The commit, 40 hex digits; `main` where it is not known: the sha256 pins the bytes."""
    name: str
    quantisation: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """A model of the registry with the files that it is made of."""

    model: Model
    weights: LockedFile
    projector: LockedFile | None

    @property
    def files(self) -> tuple[LockedFile, ...]:
        """The weights and, for a vision model, the projector."""
        return (self.weights,) if self.projector is None else (self.weights, self.projector)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


def read_lock(path: Path = LOCK_PATH) -> Mapping[str, tuple[LockedFile, ...]]:
    """Read and check the lock.

    Args:
        path: The lock file; left out: the repository's own.

    Returns:
        Model id -> its files, in the order of the lock.

    Raises:
        ConfigError: when the file is missing or cut, or an entry lacks or misstates a field.
    """
    subject = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{subject}: cannot be read ({error}); restore it from git") from error
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"{subject}: is no complete JSON ({error}); restore it from git"
        ) from error
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        version = document.get("version") if isinstance(document, dict) else document
        raise ConfigError.of(
            subject, "version", version, allowed=str(_VERSION), remedy="restore it from git"
        )
    models = document.get("models")
    if not isinstance(models, dict):
        raise ConfigError.of(
            subject, "models", models, allowed="an object", remedy="restore it from git"
        )
    lock = {
        model_id: _read_entry(f"{subject}: model {model_id!r}", entry)
        for model_id, entry in models.items()
    }
    _check_blobs(subject, (file for files in lock.values() for file in files))
    return lock


def _read_entry(subject: str, entry: Any) -> tuple[LockedFile, ...]:
    if not isinstance(entry, dict) or not isinstance(entry.get("files"), list):
        raise ConfigError.of(
            subject, "files", entry, allowed="a list of files", remedy="restore the entry"
        )
    files = []
    for fields in entry["files"]:
        if not isinstance(fields, dict):
            raise ConfigError.of(
                subject, "files", fields, allowed="objects", remedy="restore the entry"
            )
        shared = {"repository": entry.get("repository"), "revision": entry.get("revision")}
        values: dict[str, Any] = shared | fields
        for name, allowed, valid in (
            ("repository", "owner/name", lambda v: isinstance(v, str) and v.count("/") == 1),
            (
                "revision",
                "40 hex digits, or main",
                lambda v: isinstance(v, str) and _REVISION.fullmatch(v),
            ),
            ("role", "model, mmproj", lambda v: v in ("model", "mmproj")),
            (
                "name",
                "one exact .gguf file, no pattern",
                lambda v: isinstance(v, str) and _FILE_NAME.fullmatch(v),
            ),
            ("quantisation", "a quantisation", lambda v: isinstance(v, str) and v),
            ("size_bytes", "a whole number, at least 1", lambda v: type(v) is int and v > 0),
            ("sha256", "64 hex digits", lambda v: isinstance(v, str) and _SHA256.fullmatch(v)),
        ):
            value = values.get(name)
            if not valid(value):
                file = values.get("name", "a file")
                raise ConfigError.of(
                    f"{subject}, {file}", name, value, allowed=allowed,
                    remedy="take it from the hub's page of the file",
                )  # fmt: skip
        unknown = set(values) - set(LockedFile.__slots__)
        if unknown:
            raise ConfigError.of(
                subject, "a file's field", min(unknown),
                allowed=", ".join(LockedFile.__slots__), remedy="remove it",
            )  # fmt: skip
        files.append(LockedFile(**values))
    return tuple(files)


def _check_blobs(subject: str, files: Iterable[LockedFile]) -> None:
    """Refuse two statements about one file, or about one sha256, that contradict each other."""
    by_file: dict[tuple[str, str, str], LockedFile] = {}
    by_sha256: dict[str, LockedFile] = {}
    for file in files:
        twin = by_file.setdefault((file.repository, file.revision, file.name), file)
        if twin.sha256 != file.sha256:
            raise ConfigError.of(
                f"{subject}: {file.repository} {file.name}", "sha256", file.sha256,
                allowed=f"the one of its other entry, {twin.sha256}",
                remedy="one of the two entries is wrong: compare with the hub's page",
            )  # fmt: skip
        twin = by_sha256.setdefault(file.sha256, file)
        if twin.size_bytes != file.size_bytes:
            raise ConfigError.of(
                f"{subject}: {file.repository} {file.name}", "size_bytes", file.size_bytes,
                allowed=f"{twin.size_bytes}, as {twin.name} of the same sha256 has",
                remedy="one of the two entries is wrong: compare with the hub's page",
            )  # fmt: skip


def lock_models(
    models: tuple[Model, ...], lock: Mapping[str, tuple[LockedFile, ...]]
) -> tuple[LockedModel, ...]:
    """Join each model of the registry with its files.

    Args:
        models: The checked registry.
        lock: What `read_lock` returned; entries that no model names are left alone.

    Raises:
        ConfigError: when a model has no entry, or its entry is of another repository,
            quantisation or projector than the registry asks for.
    """
    return tuple(_lock_model(model, lock.get(model.id, ())) for model in models)


def _lock_model(model: Model, files: tuple[LockedFile, ...]) -> LockedModel:
    subject = f"model {model.id!r}"
    if not files:
        raise ConfigError(
            f"{subject}: is not in {LOCK_PATH.name}; allowed: models whose files the lock names; "
            "add repository, revision, file, size_bytes and sha256 there (docs/operating.md)"
        )
    for file in files:
        if file.repository != model.repository:
            raise ConfigError.of(
                subject, "repository", model.repository,
                allowed=f"the locked one, {file.repository}", remedy="lock the model anew",
            )  # fmt: skip
    weights = _one_file(subject, files, "model", model.quantisation, "quantisation")
    projector = None
    if model.projector is not None:
        projector = _one_file(subject, files, "mmproj", model.projector, "projector")
    return LockedModel(model=model, weights=weights, projector=projector)


def _one_file(
    subject: str, files: tuple[LockedFile, ...], role: str, quantisation: str, field: str
) -> LockedFile:
    of_role = [file for file in files if file.role == role]
    matching = [file for file in of_role if file.quantisation == quantisation]
    if len(matching) != 1:
        locked = ", ".join(f"{file.quantisation} ({file.name})" for file in of_role) or "none"
        raise ConfigError.of(
            subject, field, quantisation,
            allowed=f"what the lock names exactly once for role {role}: {locked}",
            remedy="change the registry or lock the file",
        )  # fmt: skip
    return matching[0]
