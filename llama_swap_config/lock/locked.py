"""The types of the lock, and the join of the registry's models with their files.

The registry names repositories and quantisations, or files; the lock names revision, file, size,
sha256 and the facts of the header. A model without its files fails here, so the download Job never
has to guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from in_pod.download.contract import LINK_NAMES, PART_NAME
from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.memory import Measured
from llama_swap_config.model import Model
from llama_swap_config.quantisation import is_same_name, words

LOCK_PATH = Path(__file__).parent.parent / "models.lock.json"
LOCK_COMMAND = "python -m ops lock"
"""The command that writes the lock."""

READ_FROM_FILE = "read from the file's header"

Role = Literal["model", "mmproj"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file of the hub, pinned by its sha256.

    Raises:
        TypeError: when the header is of the other role, or missing.
    """

    role: Role
    repository: str
    revision: str
    """The commit, 40 hex digits; `main` where it is unknown: the sha256 pins the bytes."""
    name: str
    quantisation: str
    """The registry's label."""
    size_bytes: int
    sha256: str
    header: WeightsHeader | ProjectorHeader | None
    """WeightsHeader for role model, ProjectorHeader for role mmproj; None for the second and later
    parts of a split model, whose first part has the header of the whole."""
    header_source: str
    """Source of the header's facts; the lock's field `source`."""

    def __post_init__(self) -> None:
        wanted = (WeightsHeader, type(None)) if self.role == "model" else (ProjectorHeader,)
        if not isinstance(self.header, wanted):
            raise TypeError(f"{self.name}: role {self.role} goes with {wanted[0].__name__}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """What the lock has of one model."""

    files: tuple[LockedFile, ...]
    memory: tuple[Measured, ...] = ()
    """The engine's figures, for some of the files (default: none were measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """A model of the registry with its files."""

    model: Model
    weights: tuple[LockedFile, ...]
    """The whole file, or the parts of a split model in their order."""
    projector: LockedFile | None
    memory: tuple[Measured, ...] = ()
    """The engine's figures for these files (default: none were measured)."""

    @property
    def files(self) -> tuple[LockedFile, ...]:
        """The weights and, for a vision model, the projector; in the order of `links`."""
        return self.weights if self.projector is None else (*self.weights, self.projector)

    @property
    def links(self) -> Mapping[str, LockedFile]:
        """Name in the model's folder on the volume -> the file."""
        parts = len(self.weights)
        names = [PART_NAME.format(part=part, parts=parts) for part in range(1, parts + 1)]
        links = dict(zip(names if parts > 1 else [LINK_NAMES["model"]], self.weights, strict=True))
        return links if self.projector is None else links | {LINK_NAMES["mmproj"]: self.projector}

    @property
    def weights_link(self) -> str:
        """Name that llama-server loads: of the whole file, or of the first part."""
        return next(iter(self.links))

    @property
    def is_verified(self) -> bool:
        """Whether `ops lock` has read the headers of all files."""
        return all(file.header_source == READ_FROM_FILE for file in self.files)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def weights_header(self) -> WeightsHeader:
        """The header of the weights."""
        return cast(WeightsHeader, self.weights[0].header)

    @property
    def projector_header(self) -> ProjectorHeader | None:
        """The header of the projector; None for a text model."""
        return None if self.projector is None else cast(ProjectorHeader, self.projector.header)


Lock = Mapping[str, LockEntry]
"""Model id -> its entry."""
NO_ENTRY = LockEntry(files=())


def lock_models(models: tuple[Model, ...], lock: Lock) -> tuple[LockedModel, ...]:
    """Join each model of the registry with its files.

    Args:
        models: The checked registry.
        lock: The lock; entries of other models are ignored.

    Raises:
        ConfigError: when a model has no entry, or its entry has other repositories, quantisations
            or file names than the registry, or lacks a part.
    """
    return tuple(lock_model(model, lock.get(model.id, NO_ENTRY)) for model in models)


def lock_model(model: Model, entry: LockEntry) -> LockedModel:
    """Join one model with its entry (without files: no entry).

    Raises:
        ConfigError: as `lock_models` does.
    """
    subject, files = f"model {model.id!r}", entry.files
    if not files:
        raise ConfigError(
            f"{subject} is not in {LOCK_PATH.name}; expected an entry with its files. "
            f"Run `{LOCK_COMMAND}`."
        )
    weights = _files_of(model, files, wanted_weights(model))
    projector = None
    if (wanted := wanted_projector(model)) is not None:
        (projector,) = _files_of(model, files, wanted)
    joined = LockedModel(model=model, weights=weights, projector=projector)
    if len(weights) != joined.weights_header.parts:
        raise ConfigError.of(
            subject, "parts", len(weights),
            expected=f"{joined.weights_header.parts}, as split.count of {weights[0].name}",
            remedy=f"Run `{LOCK_COMMAND}`",
        )  # fmt: skip
    sha256 = tuple(file.sha256 for file in joined.files)
    return replace(joined, memory=tuple(it for it in entry.memory if it.sha256 == sha256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the registry says of a model's weights or projector."""

    role: Role
    repository: str
    repository_field: str
    quantisation: str
    quantisation_field: str
    file: str | None
    """Path that the operator gives (default: the quantisation decides)."""
    file_field: str


def wanted_weights(model: Model) -> Wanted:
    """Return what the registry says of a model's weights."""
    return Wanted(
        role="model",
        repository=model.repository,
        repository_field="repository",
        quantisation=model.quantisation,
        quantisation_field="quantisation",
        file=model.file,
        file_field="file",
    )


def wanted_projector(model: Model) -> Wanted | None:
    """Return what the registry says of a model's projector; None for a text model."""
    if model.projector is None:
        return None
    is_foreign = model.projector_repository is not None
    return Wanted(
        role="mmproj",
        repository=model.projector_repository or model.repository,
        repository_field="projector_repository" if is_foreign else "repository",
        quantisation=model.projector,
        quantisation_field="projector",
        file=model.projector_file,
        file_field="projector_file",
    )


def _files_of(
    model: Model, files: tuple[LockedFile, ...], wanted: Wanted
) -> tuple[LockedFile, ...]:
    """Find the files of a role: the whole one or the first part, then the other parts."""
    of_role = [file for file in files if file.role == wanted.role]
    here = [file for file in of_role if file.repository == wanted.repository]
    if of_role and not here:
        raise model.error(
            wanted.repository_field, wanted.repository,
            f"{of_role[0].repository}, as in the lock", f"Run `{LOCK_COMMAND}`",
        )  # fmt: skip
    label = words(wanted.quantisation)
    matching = [file for file in here if words(file.quantisation) == label]
    first = [file for file in matching if file.header is not None]
    if len(first) != 1:
        locked = ", ".join(f"{file.quantisation} ({file.name})" for file in of_role) or "none"
        raise model.error(
            wanted.quantisation_field, wanted.quantisation,
            f"exactly one {wanted.role} file of that quantisation in the lock: {locked}",
            f"Change the registry or run `{LOCK_COMMAND}`",
        )  # fmt: skip
    if wanted.file is not None and not is_same_name(first[0].name, wanted.file):
        raise model.error(
            wanted.file_field, wanted.file, f"{first[0].name}, as in the lock",
            f"Run `{LOCK_COMMAND}`",
        )  # fmt: skip
    return (*first, *(file for file in matching if file.header is None))


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
    for file in (file for entry in lock.values() for file in entry.files):
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
