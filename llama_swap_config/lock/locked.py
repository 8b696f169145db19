"""The lock: the exact files behind each model of the registry.

The registry says what is wanted (repository, quantisation, projector); the lock says which bytes
that is (revision, file, size, sha256) and what their headers say. What the lock does not cover
fails here, so the download Job never has to guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.model import Model

LOCK_PATH = Path(__file__).parent.parent / "models.lock.json"
LOCK_COMMAND = "python -m ops lock"
"""What writes the lock: the remedy of most of what can be wrong with it."""

READ_FROM_FILE = "read from the file's header"

Role = Literal["model", "mmproj"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file of the hub, down to its bytes.

    Raises:
        TypeError: when the header is not one of the role's kind.
    """

    role: Role
    repository: str
    revision: str
    """The commit, 40 hex digits; `main` where it is not known: the sha256 pins the bytes."""
    name: str
    quantisation: str
    size_bytes: int
    sha256: str
    header: WeightsHeader | ProjectorHeader
    """Of the weights for role model, of the projector for role mmproj."""
    header_source: str
    """Where the header's facts come from; the lock calls it `source`."""

    def __post_init__(self) -> None:
        wanted = WeightsHeader if self.role == "model" else ProjectorHeader
        if not isinstance(self.header, wanted):
            raise TypeError(f"{self.name}: role {self.role} goes with {wanted.__name__}")


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

    @property
    def weights_header(self) -> WeightsHeader:
        """What the weights' header says."""
        return cast(WeightsHeader, self.weights.header)

    @property
    def projector_header(self) -> ProjectorHeader | None:
        """What the projector's header says; None with a text model."""
        return None if self.projector is None else cast(ProjectorHeader, self.projector.header)


Lock = Mapping[str, tuple[LockedFile, ...]]
"""Model id -> its files."""


def lock_models(models: tuple[Model, ...], lock: Lock) -> tuple[LockedModel, ...]:
    """Join each model of the registry with its files.

    Args:
        models: The checked registry.
        lock: What `read_lock` returned; entries that no model names are left alone.

    Raises:
        ConfigError: when a model has no entry, or its entry is of another repository,
            quantisation or projector than the registry asks for.
    """
    return tuple(lock_model(model, lock.get(model.id, ())) for model in models)


def lock_model(model: Model, files: tuple[LockedFile, ...]) -> LockedModel:
    """Join one model with the files of its entry; none: it has no entry.

    Raises:
        ConfigError: as `lock_models` does.
    """
    subject = f"model {model.id!r}"
    if not files:
        raise ConfigError(
            f"{subject}: is not in {LOCK_PATH.name}; allowed: models whose files the lock names; "
            f"run `{LOCK_COMMAND}`"
        )
    for file in files:
        if file.repository != model.repository:
            raise ConfigError.of(
                subject, "repository", model.repository,
                allowed=f"the locked one, {file.repository}", remedy=f"run `{LOCK_COMMAND}`",
            )  # fmt: skip
    weights = _one_file(subject, files, "model", model.quantisation, "quantisation")
    projector = None
    if model.projector is not None:
        projector = _one_file(subject, files, "mmproj", model.projector, "projector")
    return LockedModel(model=model, weights=weights, projector=projector)


def _one_file(
    subject: str, files: tuple[LockedFile, ...], role: Role, quantisation: str, field: str
) -> LockedFile:
    of_role = [file for file in files if file.role == role]
    matching = [file for file in of_role if file.quantisation == quantisation]
    if len(matching) != 1:
        locked = ", ".join(f"{file.quantisation} ({file.name})" for file in of_role) or "none"
        raise ConfigError.of(
            subject, field, quantisation,
            allowed=f"what the lock names exactly once for role {role}: {locked}",
            remedy=f"change the registry or run `{LOCK_COMMAND}`",
        )  # fmt: skip
    return matching[0]


def check_blobs(subject: str, lock: Lock) -> None:
    """Refuse two statements about one file, or about one sha256, that contradict each other.

    Args:
        subject: What an error calls the lock.
        lock: The lock.

    Raises:
        ConfigError: for the first pair that does.
    """
    by_file: dict[tuple[str, str, str], LockedFile] = {}
    by_sha256: dict[str, LockedFile] = {}
    for file in (file for files in lock.values() for file in files):
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
