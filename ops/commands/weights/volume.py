"""Compare a volume with the lock: present, partial, wrong, missing and unused files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from in_pod.download.contract import BLOBS, PARTIAL, WRONG
from in_pod.download.errors import DownloadError
from in_pod.download.folders import foreign_text, shown
from in_pod.download.hashing import hash_file
from in_pod.download.journal import Journal
from in_pod.download.opening import FILE, is_file, is_folder, kind
from in_pod.download.plan import File, Link, Plan, parse_plan
from in_pod.download.take_over import files_in_folders
from in_pod.download.upkeep import unneeded
from in_pod.download.volume import is_complete, is_published
from llama_swap_config.declaration import load
from llama_swap_config.lock.locked import LOCK_PATH, LockedModel
from llama_swap_config.plans.download import render_download_plan
from ops.errors import OpsError
from stacks.pools import DeclaredPool, volume_of

State = Literal["present", "to take over", "partial", "wrong", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """The state of one file of the lock on the volume."""

    model: str
    """The first model that uses it."""
    name: str
    """Its name on the hub."""
    sha256: str
    size_bytes: int
    done_bytes: int
    """Bytes that need no download."""
    state: State
    reason: str = ""
    """Why it is wrong or missing, or which file the next run takes over, if known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """The state of a model's link."""

    id: str
    published: bool
    """Whether it leads to exactly the lock's files."""
    reason: str = ""
    """Why it is not published; empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeStatus:
    """The state of a volume."""

    volume: Path
    files: tuple[FileStatus, ...]
    models: tuple[ModelStatus, ...]
    unreferenced: tuple[tuple[str, int], ...]
    """Unused files: path on the volume, and bytes that a prune frees."""
    free_bytes: int
    left_alone: str
    """What the download program did not write, in one line; empty if there is nothing."""

    @property
    def is_whole(self) -> bool:
        """Whether every model can be served with the lock's files."""
        return all(model.published for model in self.models) and all(
            file.state == "present" for file in self.files
        )

    @property
    def missing_bytes(self) -> int:
        """Bytes to download."""
        return sum(file.size_bytes - file.done_bytes for file in self.files)


def plan_of(lock_path: Path = LOCK_PATH) -> Plan:
    """Make the download plan of the whole registry.

    Args:
        lock_path: The lock (default: the repository's).

    Raises:
        ConfigError: when registry and lock do not agree.
    """
    return _plan(load(lock_path).locked, lock_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredVolume:
    """What a volume has to hold, and which of it a pool uses."""

    plan: Plan
    """Of all pools that use it: without one's models, a prune would remove them."""
    models: frozenset[str]
    """The ids that are asked about: those of the pool, where it shares another one's volume."""
    pool: str
    """The pool that is asked about; empty where there is only one."""
    owner: str
    """The pool whose download Job fills it; empty where there is only one."""

    @property
    def note(self) -> str:
        """Whose volume it is; empty where the pool has its own."""
        if self.pool == self.owner:
            return ""
        return f"pool {self.pool} uses the volume of pool {self.owner}"


def declared_volume(
    pools: tuple[DeclaredPool, ...], chosen: DeclaredPool | None, lock_path: Path
) -> DeclaredVolume:
    """Return what is declared for a volume.

    Args:
        pools: All pools, the first one first.
        chosen: One that uses the volume (default: the only volume's).
        lock_path: The lock of its files, which an error names.

    Raises:
        OpsError: when there are several volumes, and no pool says which one it is.
    """
    owners = [found.name for found in pools if found.downloads]
    if chosen is None and len(owners) > 1:
        raise OpsError(
            "--pool is not set; expected the pool whose volume it is, one of "
            f"{', '.join(owners)}. `python -m ops weights volumes` lists them"
        )
    chosen = chosen or pools[0]
    owner = volume_of(chosen, pools)
    used = owner.downloads if chosen is owner else chosen.declaration.locked
    several = len(pools) > 1
    return DeclaredVolume(
        plan=_plan(owner.downloads, lock_path),
        models=frozenset(locked.model.id for locked in used),
        pool=chosen.name if several else "",
        owner=owner.name if several else "",
    )


def _plan(models: tuple[LockedModel, ...], lock_path: Path) -> Plan:
    return parse_plan(render_download_plan(models), lock_path.name)


def require_blobs(volume: Path) -> None:
    """Refuse a directory without models, such as a mount point without its mount.

    Raises:
        OpsError: when it has no folder of blobs.
    """
    if is_folder(volume / BLOBS):
        return
    if not volume.is_dir():
        raise OpsError(f"{volume} is not a directory. Mount the models' volume there.")
    if found := kind(volume / BLOBS):
        raise OpsError(f"{volume / BLOBS} is {found}; expected a folder. Move it away.")
    where = "is mounted" if volume.is_mount() else "is not a mount point"
    raise OpsError(
        f"{volume} {where} and has no {BLOBS}/: nothing was downloaded to it. Mount the models' "
        f"volume there, or fill it: python -m ops weights pull {volume}"
    )


def status(
    plan: Plan,
    volume: Path,
    *,
    models: Collection[str] | None = None,
    hashing: Callable[[str], None] | None = None,
) -> VolumeStatus:
    """Compare a volume with a plan without changing the volume.

    Args:
        plan: The plan of all that is on it.
        volume: The volume's directory.
        models: The ids to tell of (default: all); the files of the others are not unused.
        hashing: Called with the name of each file before it is hashed (default: compare sizes
            only, which reads no file).

    Raises:
        OpsError: when the volume is not a directory, or a model's folder may not be read.
    """
    if not volume.is_dir():
        raise OpsError(
            f"{volume} is not a directory. Mount the volume there, or run `weights pull`."
        )
    unreferenced = [(str(path.relative_to(volume)), size) for path, size in unneeded(volume, plan)]
    left_alone = foreign_text(volume, plan.models)
    if models is not None:
        plan = _part(plan, models)
    return VolumeStatus(
        volume=volume,
        files=tuple(_files(plan, volume, hashing)),
        models=tuple(_model(volume, model, links) for model, links in plan.models.items()),
        unreferenced=tuple(unreferenced),
        free_bytes=shutil.disk_usage(volume).free,
        left_alone=left_alone,
    )


def _part(plan: Plan, models: Collection[str]) -> Plan:
    """Return a plan of some of its models alone."""
    links = {model: links for model, links in plan.models.items() if model in models}
    used = {link.sha256 for of_model in links.values() for link in of_model}
    return Plan(files=tuple(file for file in plan.files if file.sha256 in used), models=links)


def _files(
    plan: Plan, volume: Path, hashing: Callable[[str], None] | None
) -> Iterator[FileStatus]:
    earlier = _EarlierFiles(plan, volume, hashing)
    for file in plan.files:
        users = [
            model
            for model, links in plan.models.items()
            if any(link.sha256 == file.sha256 for link in links)
        ]
        state, reason = _state(volume, file, hashing)
        if not is_complete(volume, file) and (match := earlier.matching(file)):
            state, reason = "to take over", match
        done = file.size_bytes if state in ("present", "to take over") else 0
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


class _EarlierFiles:
    """Files in the models' folders that the next run takes over instead of a download."""

    def __init__(self, plan: Plan, volume: Path, hashing: Callable[[str], None] | None) -> None:
        """Find those with the size of a missing file, and hash them if `hashing` is given.

        Raises:
            OpsError: when one may not be read.
        """
        self._found: dict[int | str, str] = {}
        sizes = {file.size_bytes for file in plan.files if not is_complete(volume, file)}
        try:
            for path, size in files_in_folders(volume, plan) if sizes else ():
                if size not in sizes:
                    continue
                name = shown(volume, path)
                if hashing is None:
                    self._found.setdefault(size, f"{name} has its size")
                else:
                    hashing(name)
                    self._found.setdefault(hash_file(path), f"{name} has its sha256")
        except (DownloadError, PermissionError) as error:
            raise OpsError(
                f"{volume}: user {os.getuid()} may not read the models' folders. "
                "Run this as the volume's owner, or as root."
            ) from error

    def matching(self, file: File) -> str:
        """Return the name of a file with the sha256, or size, of a missing one; empty if none."""
        return self._found.get(file.sha256) or self._found.get(file.size_bytes, "")


def _state(volume: Path, file: File, hashing: Callable[[str], None] | None) -> tuple[State, str]:
    blob = volume / BLOBS / file.sha256
    if (found := kind(blob)) not in ("", FILE):
        return "wrong", f"it is {found}; move it away"
    if not found:
        if is_file(blob.with_suffix(PARTIAL)):
            return "partial", ""
        if is_file(blob.with_suffix(WRONG)):
            return "missing", "a corrupt copy is set aside"
        return "missing", ""
    if (size_bytes := blob.lstat().st_size) != file.size_bytes:
        return "wrong", f"its size is {size_bytes} bytes"
    if hashing is not None:
        hashing(file.name)
        sha256 = hash_file(blob)
        if sha256 != file.sha256:
            return "wrong", f"its sha256 is {sha256}"
    return "present", ""


def _model(volume: Path, model: str, links: tuple[Link, ...]) -> ModelStatus:
    link = volume / model
    reason = ""
    if not link.is_symlink():
        reason = "not published"
        if os.path.lexists(link):
            reason += f"; {link} is not a link, so the next run renames it"
    elif not is_published(volume, model, links):
        reason = "published with other files than the lock's"
    elif not all((link / file.name).exists() for file in links):
        reason = "its link leads to a missing file"
    return ModelStatus(id=model, published=not reason, reason=reason)


def to_json(status: VolumeStatus) -> dict[str, Any]:
    """Convert a volume's state for JSON."""
    return {
        "volume": str(status.volume),
        "whole": status.is_whole,
        "missing_bytes": status.missing_bytes,
        "free_bytes": status.free_bytes,
        "left_alone": status.left_alone,
        "files": [asdict(file) for file in status.files],
        "models": [asdict(model) for model in status.models],
        "unreferenced": [
            {"path": path, "size_bytes": size_bytes} for path, size_bytes in status.unreferenced
        ],
    }
