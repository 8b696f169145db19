"""The types of the lock, and the join of the registry's models with their files.

The registry names repository, quantisation and projector; the lock names revision, file, size,
sha256 and the facts of the header. A model without its files fails here, so the download Job never
has to guess.
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
"""The command that writes the lock."""

READ_FROM_FILE = "read from the file's header"

Role = Literal["model", "mmproj"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file of the hub, pinned by its sha256.

    Raises:
        TypeError: when the header is of the other role.
    """

    role: Role
    repository: str
    revision: str
    """The commit, 40 hex digits; `main` where it is unknown: the sha256 pins the bytes."""
    name: str
    quantisation: str
    size_bytes: int
    sha256: str
    header: WeightsHeader | ProjectorHeader
    """WeightsHeader for role model, ProjectorHeader for role mmproj."""
    header_source: str
    """Source of the header's facts; the lock's field `source`."""

    def __post_init__(self) -> None:
        wanted = WeightsHeader if self.role == "model" else ProjectorHeader
        if not isinstance(self.header, wanted):
            raise TypeError(f"{self.name}: role {self.role} goes with {wanted.__name__}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """A model of the registry with its files."""

    model: Model
    weights: LockedFile
    projector: LockedFile | None

    @property
    def files(self) -> tuple[LockedFile, ...]:
        """The weights and, for a vision model, the projector."""
        return (self.weights,) if self.projector is None else (self.weights, self.projector)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def weights_header(self) -> WeightsHeader:
        """The header of the weights."""
        return cast(WeightsHeader, self.weights.header)

    @property
    def projector_header(self) -> ProjectorHeader | None:
        """The header of the projector; None for a text model."""
        return None if self.projector is None else cast(ProjectorHeader, self.projector.header)


Lock = Mapping[str, tuple[LockedFile, ...]]
"""Model id -> its files."""


def lock_models(models: tuple[Model, ...], lock: Lock) -> tuple[LockedModel, ...]:
    """Join each model of the registry with its files.

    Args:
        models: The checked registry.
        lock: The lock; entries of other models are ignored.

    Raises:
        ConfigError: when a model has no entry, or its entry has another repository, quantisation
            or projector than the registry.
    """
    return tuple(lock_model(model, lock.get(model.id, ())) for model in models)


def lock_model(model: Model, files: tuple[LockedFile, ...]) -> LockedModel:
    """Join one model with the files of its entry (empty: no entry).

    Raises:
        ConfigError: as `lock_models` does.
    """
    subject = f"model {model.id!r}"
    if not files:
        raise ConfigError(
            f"{subject} is not in {LOCK_PATH.name}; expected an entry with its files. "
            f"Run `{LOCK_COMMAND}`."
        )
    for file in files:
        if file.repository != model.repository:
            raise ConfigError.of(
                subject, "repository", model.repository,
                expected=f"{file.repository}, as in the lock", remedy=f"Run `{LOCK_COMMAND}`",
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
            expected=f"exactly one {role} file of that quantisation in the lock: {locked}",
            remedy=f"Change the registry or run `{LOCK_COMMAND}`",
        )  # fmt: skip
    return matching[0]


def check_blobs(subject: str, lock: Lock) -> None:
    """Check that no two entries contradict each other about one file or one sha256.

    Args:
        subject: The lock in errors.
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
                expected=f"{twin.sha256}, as in its other entry",
                remedy="One of the two entries is wrong: compare with the hub's page",
            )  # fmt: skip
        twin = by_sha256.setdefault(file.sha256, file)
        if twin.size_bytes != file.size_bytes:
            raise ConfigError.of(
                f"{subject}: {file.repository} {file.name}", "size_bytes", file.size_bytes,
                expected=f"{twin.size_bytes}, as in {twin.name} with the same sha256",
                remedy="One of the two entries is wrong: compare with the hub's page",
            )  # fmt: skip
