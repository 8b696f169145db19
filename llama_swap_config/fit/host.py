"""Disk, host memory and load time: what the models need of the node beside its card."""

from __future__ import annotations

import math
from collections.abc import Iterable

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.locked import LockedModel

GIB = 2**30
PROCESS_MIB = 1024
"""Host memory of one llama-server beside its files and its cached prompts: the token embedding
(334 MiB in a model of 8 B), a raw image (25 MiB), CUDA. An allowance, not measured."""
LOAD_BYTES_PER_S = 62.5e6
"""Half of a 1 Gbit/s line: the rate of a load from NFS while another client uses the rest."""


def disk_bytes(models: tuple[LockedModel, ...]) -> int:
    """Bytes on the volume while the largest model is replaced.

    The new version is complete before its link moves, and the old one stays until it is pruned.
    """
    files = {file.sha256: file.size_bytes for locked in models for file in locked.files}
    return sum(files.values()) + _largest(models).size_bytes


def host_memory_mib(
    models: tuple[LockedModel, ...], *, cache_ram_mib: int, together: int
) -> float:
    """MiB that the serving pod's memory limit has to cover.

    That is the files of the models that load, whose pages count against the pod, and for each
    llama-server its cached prompts and the process itself.

    Args:
        models: The locked registry.
        cache_ram_mib: `--cache-ram`.
        together: How many models may be resident at once.
    """
    files = _bytes(_loading(models)) / 2**20
    return files + together * (cache_ram_mib + PROCESS_MIB)


def check_disk(models: tuple[LockedModel, ...], storage_size_gib: int) -> None:
    """Check that a volume holds the models.

    Args:
        models: All models on it.
        storage_size_gib: Its size.

    Raises:
        ConfigError: when it is too small; names its least size.
    """
    largest = _largest(models)
    disk = disk_bytes(models)
    if storage_size_gib * GIB < disk:
        raise _error(
            "storage_size_gib", storage_size_gib,
            f"at least {math.ceil(disk / GIB)} ({(disk - largest.size_bytes) / GIB:.1f} GiB of "
            f"files, and {largest.size_bytes / GIB:.1f} more while {largest.model.id!r} is "
            "replaced by a new version)",
        )  # fmt: skip


def check_host(
    models: tuple[LockedModel, ...],
    *,
    storage_size_gib: int,
    memory_limit_gib: int,
    cache_ram_mib: int,
    health_check_timeout_s: int | None,
    together: int,
) -> None:
    """Check that downloads, loads and the pod work with these settings.

    Args:
        models: The locked registry.
        storage_size_gib: The volume's size.
        memory_limit_gib: The serving pod's memory limit.
        cache_ram_mib: `--cache-ram` of each llama-server.
        health_check_timeout_s: Seconds that the front end waits for a load; None for no limit.
        together: How many models may be resident at once.

    Raises:
        ConfigError: when a setting is too low; names it and its least value.
    """
    loading = _loading(models)
    ids = " and ".join(repr(locked.model.id) for locked in loading)
    load = "loads" if len(loading) == 1 else "load at once"
    check_disk(models, storage_size_gib)
    memory = host_memory_mib(models, cache_ram_mib=cache_ram_mib, together=together)
    if memory_limit_gib * 1024 < memory:
        raise _error(
            "resources.memory_limit_gib", memory_limit_gib,
            f"at least {math.ceil(memory / 1024)} ({_bytes(loading) / GIB:.1f} GiB of pages "
            f"while {ids} {load}, and for each of {together} models "
            f"{cache_ram_mib} MiB of cached prompts and {PROCESS_MIB} MiB for the process)",
        )  # fmt: skip
    load_s = _bytes(loading) / LOAD_BYTES_PER_S
    if health_check_timeout_s is not None and health_check_timeout_s < load_s:
        raise _error(
            "llama_swap.health_check_timeout_s", health_check_timeout_s,
            f"at least {math.ceil(load_s)} ({ids} at "
            f"{LOAD_BYTES_PER_S / 1e6:g} MB/s, half of a 1 Gbit/s line)",
        )  # fmt: skip


def _largest(models: Iterable[LockedModel]) -> LockedModel:
    return max(models, key=lambda locked: locked.size_bytes)


def _loading(models: tuple[LockedModel, ...]) -> tuple[LockedModel, ...]:
    """Return the most that loads at once: the largest model of each card.

    A model on several cards counts on its first.
    """
    first_cards = sorted({locked.model.cards[0] for locked in models})
    return tuple(
        _largest(it for it in models if it.model.cards[0] == card) for card in first_cards
    )


def _bytes(models: tuple[LockedModel, ...]) -> int:
    return sum(locked.size_bytes for locked in models)


def _error(setting: str, value: object, expected: str) -> ConfigError:
    return ConfigError.of(
        "settings", setting, value, expected=expected, remedy="Raise it in stacks/production.py"
    )
