"""The declared pools: the settings and the models of each, checked against each other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from llama_swap_config.cluster.pod_resources import HOSTNAME
from llama_swap_config.cluster.storage import (
    CUDA_CACHE,
    MODELS,
    LocalSsdStorage,
    NfsStorage,
    ProvisionedStorage,
    Storage,
)
from llama_swap_config.declaration import Declaration
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.homes import Home, check_home, models_of, models_on
from llama_swap_config.fit.host import check_disk
from llama_swap_config.fit.residency import Residency, Residents
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from stacks.pool import Pool
from stacks.settings import Settings

_INHERITED = (
    "storage_size_gib",
    "resources",
    "llama_swap_image",
    "engine_build",
    "front_end",
    "llama_swap",
)
"""Fields of the settings that a pool may leave as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPool:
    """A pool with the models that it serves."""

    settings: Settings
    """Its own: those of production.py with what the pool declares in their place."""
    declaration: Declaration
    """Its models, in the registry's order, and the consumers that may ask them."""
    downloads: tuple[LockedModel, ...]
    """The models that its download Job fills its volume with; empty: another pool's does."""
    homes: tuple[Home, ...]
    """All pools, so that an error names the one where a model fits."""
    gateway_namespace: str | None = None
    """Of the first pool, where the stack deploys a Gateway; None: this is the first pool."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.pool

    @property
    def home(self) -> Home:
        """What it is to its models."""
        return next(home for home in self.homes if home.name == self.name)

    @property
    def residents(self) -> Residents:
        """Which models may be on its cards together.

        Raises:
            ConfigError: when a model does not run there.
        """
        return check_home(self.home, self.declaration.locked, self.homes)


def pools_of(settings: Settings, declaration: Declaration) -> tuple[DeclaredPool, ...]:
    """Return the pools, the first one first.

    Whether the models fit their pools is for `DeclaredPool.residents`.

    Args:
        settings: The cluster's settings.
        declaration: All models and consumers.

    Raises:
        ConfigError: when pools cannot be told apart, or a model names no pool, an unknown one, or
            pools with different builds of the engine.
    """
    each = settings_of_pools(settings)
    homes = _homes(each, settings, declaration.residency)
    require_homes(declaration.models, tuple(home.name for home in homes))
    if not settings.pools:
        return (
            DeclaredPool(
                settings=settings,
                declaration=declaration,
                downloads=declaration.locked,
                homes=homes,
            ),
        )
    _require_one_build(declaration.models, each)
    check_disk(models_on(settings.pool, declaration.locked, homes), settings.storage_size_gib)
    return tuple(
        DeclaredPool(
            settings=own,
            declaration=_declaration_of(home, declaration),
            downloads=models_on(own.pool, declaration.locked, homes),
            homes=homes,
            gateway_namespace=None if own is each[0] else settings.namespace,
        )
        for own, home in zip(each, homes, strict=True)
    )


def homes_of(settings: Settings, residency: Residency) -> tuple[Home, ...]:
    """Return what each pool is to its models, the first one first.

    Args:
        settings: The cluster's settings.
        residency: Of the first pool.

    Raises:
        ConfigError: when pools cannot be told apart.
    """
    return _homes(settings_of_pools(settings), settings, residency)


def _homes(
    each: tuple[Settings, ...], settings: Settings, residency: Residency
) -> tuple[Home, ...]:
    residencies = (residency, *(pool.residency for pool in settings.pools))
    own_volumes = _own_volumes(settings)
    return tuple(
        Home(
            name=own.pool,
            node=own.node,
            residency=own_residency,
            volume=own.pool if own.pool in own_volumes else settings.pool,
        )
        for own, own_residency in zip(each, residencies, strict=True)
    )


def settings_of_pools(settings: Settings) -> tuple[Settings, ...]:
    """Return the settings of each pool, the first one first; they name no further pools.

    Args:
        settings: The cluster's settings.

    Raises:
        ConfigError: when two pools have one name, card, volume or tenant.
    """
    names = (settings.pool, *(pool.name for pool in settings.pools))
    for pool in settings.pools:
        if names.count(pool.name) > 1:
            raise pool.error("name", pool.name, "a name that no other pool has")
    if not settings.pools:
        return (settings,)
    first = replace(settings, pools=())
    each = (first, *(_settings_of(pool, settings) for pool in settings.pools))
    _require_apart(each, _own_volumes(settings))
    return each


def volume_of(pool: DeclaredPool, pools: tuple[DeclaredPool, ...]) -> DeclaredPool:
    """Return the pool whose volume a pool uses: it downloads what is on it.

    Args:
        pool: The pool.
        pools: All pools, the first one first.
    """
    return next(owner for owner in pools if owner.name == pool.home.volume)


def home_of(model: Model, pools: tuple[Settings, ...]) -> Settings:
    """Return the settings of a model's home, or of the first pool while the model names none.

    Args:
        model: The model.
        pools: The settings of each pool, the first one first.

    Raises:
        ConfigError: when its pool does not exist.
    """
    _require_known(model, tuple(pool.pool for pool in pools))
    return next((pool for pool in pools if pool.pool in model.pools[:1]), pools[0])


def _own_volumes(settings: Settings) -> frozenset[str]:
    """Return the names of the further pools with a volume of their own."""
    return frozenset(pool.name for pool in settings.pools if pool.storage is not None)


def _settings_of(pool: Pool, settings: Settings) -> Settings:
    """Return a further pool's settings: what it declares, and else what the first pool has."""
    prefix = f"{settings.namespace}-{pool.name}"
    own = {name: value for name in _INHERITED if (value := getattr(pool, name)) is not None}
    cache = pool.gpu.cuda_cache
    if cache is not None and cache.volume is None:
        cache = replace(cache, volume=f"{prefix}-cuda-cache")
    storage = _storage_of(pool, settings, f"{prefix}-models")
    try:
        return replace(
            settings,
            **own,
            pool=pool.name,
            pools=(),
            namespace=prefix,
            gpu=replace(pool.gpu, cuda_cache=cache),
            storage=storage,
            sharing=pool.sharing,
            # Whoever fills a volume also verifies it.
            upkeep=None if pool.storage is None else settings.upkeep,
        )
    except ConfigError as error:
        text = str(error).removeprefix("settings: ")
        raise ConfigError(f"pool {pool.name!r}: {text}") from error


def _storage_of(pool: Pool, settings: Settings, volume: str) -> Storage:
    if pool.storage is None:
        if not isinstance(settings.storage, NfsStorage):
            raise pool.error(
                "storage", None, "a storage of its own: another node or namespace cannot mount "
                f"the {type(settings.storage).__name__} of pool {settings.pool!r}",
            )  # fmt: skip
        return replace(settings.storage, volume=volume, claim=None, storage_class=None)
    if isinstance(pool.storage, ProvisionedStorage) or pool.storage.volume is not None:
        return pool.storage
    return replace(pool.storage, volume=volume)


def require_homes(models: tuple[Model, ...], names: tuple[str, ...]) -> None:
    """Check that each model names pools that exist, and each pool has a model.

    Args:
        models: All models; with one pool they need not name it.
        names: The pools, the first one first.

    Raises:
        ConfigError: for the first one that does not.
    """
    for model in models:
        _require_known(model, names)
        if len(names) > 1 and not model.pools:
            raise model.error(
                "pools", model.pools, f"its home, one of {', '.join(names)}, and perhaps a second",
                "`python -m ops fit --propose` prints the lines",
            )  # fmt: skip
    for name in names:
        if len(names) > 1 and not any(name in model.pools for model in models):
            raise ConfigError.of(
                f"pool {name!r}", "models", (), expected="at least one model that names it",
                remedy="Add it to `pools` of a model in llama_swap_config/registry.py, or remove "
                "the pool",
            )  # fmt: skip


def _require_known(model: Model, names: tuple[str, ...]) -> None:
    for pool in model.pools:
        if pool not in names:
            raise model.error(
                "pools", model.pools, f"names of pools: {', '.join(names)}",
                f"Replace or remove {pool!r}, or declare it in stacks/production.py",
            )  # fmt: skip


def _require_apart(pools: tuple[Settings, ...], own_volumes: frozenset[str]) -> None:
    """Refuse two pools for one card, one volume or one tenant."""
    for one, other in itertools.combinations(pools, 2):
        labels, others = one.gpu.node_selector, other.gpu.node_selector
        if one.gpu.resource == other.gpu.resource and not any(
            others.get(key, value) != value for key, value in labels.items()
        ):
            raise _error(
                other.pool, "gpu.node_selector", dict(others),
                f"a label that the node of pool {one.pool!r} has with another value, such as "
                f"{{{HOSTNAME!r}: ...}} in both; several cards of a node are one pool with "
                "gpu.count",
            )  # fmt: skip
        if other.pool in own_volumes and _directory(one) == _directory(other) is not None:
            raise _error(
                other.pool, "storage", _directory(other),
                f"another directory than that of pool {one.pool!r}, whose Job would remove its "
                "files",
            )  # fmt: skip
        for name in _volume_names(other):
            if name in _volume_names(one):
                raise _error(
                    other.pool, "storage.volume", name,
                    f"a name that no volume of pool {one.pool!r} has",
                )  # fmt: skip
        for tenant in map(str, other.tenants):
            if tenant in map(str, one.tenants):
                raise _error(
                    other.pool, "sharing.tenants", tenant,
                    f"a workload that pool {one.pool!r} does not name",
                )  # fmt: skip


def _volume_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the PersistentVolumes that Terraform makes; they have no namespace."""
    storages = ((settings.storage, MODELS), (settings.gpu.cuda_cache, CUDA_CACHE))
    return tuple(
        storage.volume_name(use)
        for storage, use in storages
        if isinstance(storage, NfsStorage | LocalSsdStorage)
    )


def _directory(settings: Settings) -> tuple[str, str] | None:
    """Return host and path of a volume; None: the cluster makes one for each claim."""
    match settings.storage:
        case NfsStorage(server=host, path=path) | LocalSsdStorage(node=host, path=path):
            return host, path
        case _:
            return None


def _require_one_build(models: tuple[Model, ...], pools: tuple[Settings, ...]) -> None:
    """Refuse homes whose engines differ: the lock has one engine's figures of a model."""
    builds = {pool.pool: pool.engine_build for pool in pools}
    for model in models:
        first, *others = model.pools
        for name in others:
            if builds[name] != builds[first]:
                raise model.error(
                    "pools", model.pools,
                    f"pools with one engine_build: {first!r} has {builds[first]}, {name!r} has "
                    f"{builds[name]}",
                    "Remove one of them, or give both pools the same image",
                )  # fmt: skip


def _declaration_of(home: Home, declaration: Declaration) -> Declaration:
    locked = models_of(home.name, declaration.locked)
    ids = {it.model.id for it in locked}
    asked = (
        (consumer, tuple(model_id for model_id in consumer.models if model_id in ids))
        for consumer in declaration.consumers
    )
    return replace(
        declaration,
        locked=locked,
        residency=home.residency,
        consumers=tuple(replace(consumer, models=models) for consumer, models in asked if models),
    )


def _error(pool: str, field: str, value: object, expected: str) -> ConfigError:
    return ConfigError.of(
        f"pool {pool!r}", field, value,
        expected=expected, remedy="Correct it in stacks/production.py",
    )  # fmt: skip
