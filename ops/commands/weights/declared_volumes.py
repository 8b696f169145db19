"""Which volume each pool uses, where that is, and which models of it."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.cluster.storage import (
    MODELS,
    LocalSsdStorage,
    NfsStorage,
    ProvisionedStorage,
)
from stacks.pools import DeclaredPool, volume_of
from stacks.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolVolume:
    """A pool and the volume that it uses."""

    pool: str
    node: dict[str, str]
    """Labels of its node."""
    volume_of: str
    """The pool whose download Job fills the volume: itself, or the first one."""
    place: str
    """Where the files are, as an operator mounts them."""
    models: tuple[str, ...]
    """The ids of what it uses of the volume."""
    size_bytes: int
    """Size of their files."""


def volumes(
    pools: tuple[DeclaredPool, ...], chosen: tuple[DeclaredPool, ...]
) -> tuple[PoolVolume, ...]:
    """List the volumes.

    Args:
        pools: All pools, the first one first.
        chosen: Those to list.
    """
    return tuple(_volume(pool, volume_of(pool, pools)) for pool in chosen)


def _volume(pool: DeclaredPool, owner: DeclaredPool) -> PoolVolume:
    locked = pool.declaration.locked
    files = {file.sha256: file.size_bytes for model in locked for file in model.files}
    return PoolVolume(
        pool=pool.name,
        node=dict(pool.settings.gpu.node_selector),
        volume_of=owner.name,
        place=_place(owner.settings),
        models=tuple(model.model.id for model in locked),
        size_bytes=sum(files.values()),
    )


def _place(settings: Settings) -> str:
    match settings.storage:
        case NfsStorage(server=server, path=path):
            return f"{server}:{path}"
        case LocalSsdStorage(node=node, path=path):
            return f"{path} on {node}"
        case ProvisionedStorage() as storage:
            return f"claim {settings.namespace}/{storage.claim_name(MODELS)}"
