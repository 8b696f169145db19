"""Compare the models of two registries, and the files that a merge downloads and frees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["added", "changed", "removed", "renamed"]
_INTRODUCED = ("repository", "quantisation", "projector", "context")

Models = tuple[dict[str, Any], ...]
"""Output of `facts_script` for each model: its fields and its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelField:
    """A field of the registry or the lock that differs."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """A model that a merge changes."""

    id: str
    action: Action
    was: str
    """The id before; equal to `id` unless the model is renamed."""
    fields: tuple[ModelField, ...]
    """Of an added model only those that introduce it; of a removed one none."""
    size_bytes: int
    """Size of all its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that only one side needs."""

    repository: str
    name: str
    sha256: str
    size_bytes: int
    volume: str = ""
    """Name of the pool whose volume it is (default: there is one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files that the volumes gain and lose."""

    download: tuple[FileChange, ...]
    free: tuple[FileChange, ...]

    @property
    def download_bytes(self) -> int:
        """Bytes that the download Jobs fetch if the volumes have all files of the base."""
        return sum(file.size_bytes for file in self.download)

    @property
    def free_bytes(self) -> int:
        """Bytes that the upkeep prunes after its grace period."""
        return sum(file.size_bytes for file in self.free)


def model_changes(before: Models, after: Models) -> tuple[ModelChange, ...]:
    """Compare two registries.

    A model with a new id and the same files is renamed: nothing is downloaded.
    """
    old, new = _by_id(before), _by_id(after)
    gone = [model_id for model_id in old if model_id not in new]
    changes = []
    for model_id, model in new.items():
        was = model_id
        if model_id not in old:
            was = next((old_id for old_id in gone if _digests(old[old_id]) == _digests(model)), "")
            if not was:
                fields = _fields({"fields": {}, "files": []}, model, only=_INTRODUCED)
                changes.append(_change(model_id, "added", model, fields=fields))
                continue
            gone.remove(was)
        fields = _fields(old[was], model)
        if was != model_id or fields:
            action: Action = "changed" if was == model_id else "renamed"
            changes.append(_change(model_id, action, model, was=was, fields=fields))
    changes += [_change(model_id, "removed", old[model_id]) for model_id in gone]
    return tuple(changes)


def file_changes(before: Models, after: Models, *, volume: str = "") -> Files:
    """List the files of a volume that only one of two registries needs.

    Args:
        before: The models on the volume.
        after: The same, later.
        volume: Name of its pool (default: there is one volume).
    """
    old, new = (_files(models, volume) for models in (before, after))
    return Files(
        download=tuple(new[sha256] for sha256 in new if sha256 not in old),
        free=tuple(old[sha256] for sha256 in old if sha256 not in new),
    )


def _change(
    id: str,
    action: Action,
    model: dict[str, Any],
    *,
    was: str | None = None,
    fields: tuple[ModelField, ...] = (),
) -> ModelChange:
    return ModelChange(
        id=id,
        action=action,
        was=id if was is None else was,
        fields=fields,
        size_bytes=sum(file["size_bytes"] for file in model["files"]),
    )


def _by_id(models: Models) -> dict[str, dict[str, Any]]:
    return {str(model["fields"]["id"]): model for model in models}


def _digests(model: dict[str, Any]) -> set[tuple[str, str]]:
    return {(file["role"], file["sha256"]) for file in model["files"]}


def _fields(
    before: dict[str, Any], after: dict[str, Any], *, only: tuple[str, ...] = ()
) -> tuple[ModelField, ...]:
    old, new = _OLDER | _flat(before), _OLDER | _flat(after)
    return tuple(
        ModelField(name=name, before=old.get(name), after=new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name) and (not only or name in only)
    )


_OLDER: dict[str, Any] = {"cards": [0], "tensor_split": [], "pools": []}
"""Fields that an older tree does not have, with what its models mean."""


def _flat(model: dict[str, Any]) -> dict[str, Any]:
    """Flatten all fields but the id: `sampling.top_p`, `mmproj.sha256`."""
    flat: dict[str, Any] = {}
    for name, value in model["fields"].items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": member for inner, member in value.items()}
        elif name != "id":
            flat[name] = value
    roles = [file["role"] for file in model["files"]]
    for index, file in enumerate(model["files"]):
        # A split model has several files of one role.
        part = roles[:index].count(file["role"]) + 1
        subject = file["role"] if part == 1 else f"{file['role']} part {part}"
        names = ("name", "revision", "size_bytes", "sha256")
        flat |= {f"{subject}.{name}": file[name] for name in names}
    return flat


def _files(models: Models, volume: str) -> dict[str, FileChange]:
    return {
        file["sha256"]: FileChange(
            repository=file["repository"],
            name=file["name"],
            sha256=file["sha256"],
            size_bytes=file["size_bytes"],
            volume=volume,
        )
        for model in models
        for file in model["files"]
    }
