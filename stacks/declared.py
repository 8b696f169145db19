"""Load this cluster's settings and pools."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from llama_swap_config.declaration import load
from llama_swap_config.edited_file import import_edited
from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.locked import LOCK_PATH
from llama_swap_config.typed import require_types
from stacks.pools import DeclaredPool, pools_of, settings_of_pools
from stacks.settings import Settings


def load_settings() -> Settings:
    """Load the settings of stacks/production.py.

    Raises:
        ConfigError: when they are wrong, or Python refuses the file; the message is one line.
    """
    settings: Any = getattr(import_edited("stacks.production"), "PRODUCTION", None)
    require_types("settings", {"PRODUCTION": settings}, {"PRODUCTION": Settings})
    return cast(Settings, settings)


def load_settings_of_pools(name: str | None = None) -> tuple[Settings, ...]:
    """Load the settings of each pool, the first one first, or of one.

    Args:
        name: The only pool (default: all pools).

    Raises:
        ConfigError: as `load_settings`, when pools cannot be told apart, and when there is no pool
            of that name.
    """
    pools = settings_of_pools(load_settings())
    named = tuple(pool for pool in pools if name in (None, pool.pool))
    if not named:
        raise _unknown(name, tuple(pool.pool for pool in pools))
    return named


def load_pools(lock_path: Path = LOCK_PATH) -> tuple[DeclaredPool, ...]:
    """Load all pools, the first one first.

    Args:
        lock_path: The lock (default: the repository's).

    Raises:
        ConfigError: when settings, registry, consumers or lock are wrong.
    """
    settings = load_settings()
    return pools_of(settings, load(lock_path))


def load_pool(name: str | None, lock_path: Path = LOCK_PATH) -> DeclaredPool:
    """Load one pool.

    Args:
        name: Its name; None: the first.
        lock_path: The lock (default: the repository's).

    Raises:
        ConfigError: as `load_pools`, and when there is no pool of that name.
    """
    return pool_named(load_pools(lock_path), name)


def pool_named(pools: tuple[DeclaredPool, ...], name: str | None) -> DeclaredPool:
    """Return a pool.

    Args:
        pools: All pools, the first one first.
        name: Its name; None: the first.

    Raises:
        ConfigError: when there is no pool of that name.
    """
    for pool in pools:
        if name in (None, pool.name):
            return pool
    raise _unknown(name, tuple(pool.name for pool in pools))


def _unknown(name: str | None, pools: tuple[str, ...]) -> ConfigError:
    return ConfigError(f"--pool is {name!r}; expected one of {', '.join(pools)}")
