"""The volume against the lock: what is there, on its way, wrong, missing, or named by nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from in_pod.download.contract import BLOBS, PARTIAL, WRONG
from in_pod.download.journal import Journal
from in_pod.download.plan import File, Link, Plan, parse_plan
from in_pod.download.upkeep import hash_file, unneeded
from in_pod.download.volume import is_published
from llama_swap_config.declaration import load
from llama_swap_config.lock.locked import LOCK_PATH
from llama_swap_config.plans.download import render_download_plan
from ops.errors import OpsError

State = Literal["present", "partial", "wrong", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """One file of the lock, as it is on the volume."""

    model: str
    """The first model that loads it."""
    name: str
    """Its name at the hub."""
    sha256: str
    size_bytes: int
    done_bytes: int
    """Bytes that a download does not fetch again."""
    state: State
    reason: str = ""
    """What is wrong; empty where nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """Where a model's link leads."""

    id: str
    published: bool
    """Whether it leads to exactly the lock's files, all of them."""
    reason: str = ""
    """What it leads to instead; empty when published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeStatus:
    """A volume against the lock."""

    volume: Path
    files: tuple[FileStatus, ...]
    models: tuple[ModelStatus, ...]
    unreferenced: tuple[tuple[str, int], ...]
    """What neither the lock nor a link names: path on the volume, and bytes that a prune frees."""
    free_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether every model of the registry can be served with the lock's bytes."""
        return all(model.published for model in self.models) and all(
            file.state == "present" for file in self.files
        )

    @property
    def missing_bytes(self) -> int:
        """Bytes that the next download fetches."""
        return sum(each.size_bytes - each.done_bytes for each in self.files)


def plan_of(lock_path: Path = LOCK_PATH) -> Plan:
    """Read the download plan of the registry.

    Args:
        lock_path: The lock; left out: the repository's own.

    Raises:
        ConfigError: when registry and lock do not hold together.
    """
    return parse_plan(render_download_plan(load(lock_path).locked), lock_path.name)


def status(
    plan: Plan, volume: Path, *, hashing: Callable[[str], None] | None = None
) -> VolumeStatus:
    """Compare a volume with a plan; nothing on the volume is changed.

    Args:
        plan: The plan.
        volume: The volume's directory.
        hashing: Takes the name of each file before it is hashed; left out: sizes alone are
            compared, which costs no read.

    Raises:
        OpsError: when the volume is not there.
    """
    if not volume.is_dir():
        raise OpsError(f"{volume} is no directory; mount the volume there, or pull into it")
    unreferenced = [(str(path.relative_to(volume)), size) for path, size in unneeded(volume, plan)]
    return VolumeStatus(
        volume=volume,
        files=tuple(_files(plan, volume, hashing)),
        models=tuple(_model(volume, model, links) for model, links in plan.models.items()),
        unreferenced=tuple(unreferenced),
        free_bytes=shutil.disk_usage(volume).free,
    )


def _files(
    plan: Plan, volume: Path, hashing: Callable[[str], None] | None
) -> Iterator[FileStatus]:
    for file in plan.files:
        users = [
            model
            for model, links in plan.models.items()
            if any(link.sha256 == file.sha256 for link in links)
        ]
        state, reason = _state(volume, file, hashing)
        done = file.size_bytes if state == "present" else 0
        if state == "partial":
            done = Journal.bytes_of(volume / BLOBS, file)
        yield FileStatus(
            model=users[0] if users else "",
            name=file.name,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            done_bytes=done,
            state=state,
            reason=reason,
        )


def _state(volume: Path, file: File, hashing: Callable[[str], None] | None) -> tuple[State, str]:
    blob = volume / BLOBS / file.sha256
    if not blob.is_file():
        if blob.with_suffix(PARTIAL).is_file():
            return "partial", ""
        if blob.with_suffix(WRONG).is_file():
            return "missing", "a wrong one is set aside"
        return "missing", ""
    if blob.stat().st_size != file.size_bytes:
        return "wrong", f"it has {blob.stat().st_size} bytes"
    if hashing is not None:
        hashing(file.name)
        found = hash_file(blob)
        if found != file.sha256:
            return "wrong", f"its sha256 is {found}"
    return "present", ""


def _model(volume: Path, model: str, links: tuple[Link, ...]) -> ModelStatus:
    link = volume / model
    reason = ""
    if not link.is_symlink():
        reason = "its name is taken by no link" if link.exists() else "not there yet"
    elif not is_published(volume, model, links):
        reason = "other files than the lock's are served"
    elif not all((link / each.name).exists() for each in links):
        reason = "its link leads to a file that is gone"
    return ModelStatus(id=model, published=not reason, reason=reason)


def to_json(found: VolumeStatus) -> dict[str, Any]:
    """Say a volume's status to a program."""
    return {
        "volume": str(found.volume),
        "whole": found.is_whole,
        "missing_bytes": found.missing_bytes,
        "free_bytes": found.free_bytes,
        "files": [asdict(each) for each in found.files],
        "models": [asdict(each) for each in found.models],
        "unreferenced": [
            {"path": path, "size_bytes": size_bytes} for path, size_bytes in found.unreferenced
        ],
    }
