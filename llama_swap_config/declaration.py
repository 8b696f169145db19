"""Load the registry, its lock and the checks of both in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

from llama_swap_config.checks import check_registry
from llama_swap_config.edited_file import import_edited
from llama_swap_config.fit.budget import Node, check_budget
from llama_swap_config.fit.residency import ONE_AT_A_TIME, Residency, Residents
from llama_swap_config.gateway.consumer import Consumer, check_consumers
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LOCK_PATH, Lock, LockedModel, lock_models
from llama_swap_config.model import Model
from llama_swap_config.typed import require_types


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A checked and locked registry."""

    locked: tuple[LockedModel, ...]
    """The models with their files, in the operator's order."""
    residency: Residency
    """Which models may be on the card together."""
    lock: Lock
    """The whole lock, including files that no model uses."""
    consumers: tuple[Consumer, ...] = ()
    """Who may ask which model, in the operator's order."""

    @classmethod
    def of(
        cls,
        models: Iterable[Model],
        residency: Residency = ONE_AT_A_TIME,
        lock_path: Path = LOCK_PATH,
        consumers: Iterable[Consumer] = (),
    ) -> Declaration:
        """Check models and consumers, read a lock and join them.

        Raises:
            ConfigError: when models, consumers or lock are wrong, or a model is not in the lock.
        """
        checked = check_registry(models)
        lock = read_lock(lock_path)
        return cls(
            locked=lock_models(checked, lock),
            residency=residency,
            lock=lock,
            consumers=check_consumers(consumers, checked),
        )

    @property
    def models(self) -> tuple[Model, ...]:
        """The registry."""
        return tuple(locked.model for locked in self.locked)

    def residents(self, node: Node) -> Residents:
        """Check that the models run on a node, and compute which may be on its card together.

        Raises:
            ConfigError: the first check that fails, with its numbers and a remedy.
        """
        return check_budget(self.locked, self.residency, node)


def load(lock_path: Path = LOCK_PATH) -> Declaration:
    """Load the repository's registry and consumers with a lock (default: the repository's).

    Raises:
        ConfigError: as `Declaration.of`, and when Python, a model or a consumer refuses a file.
    """
    registry = _registry()
    return Declaration.of(registry.REGISTRY, registry.RESIDENCY, lock_path, _consumers())


def load_consumers() -> tuple[Consumer, ...]:
    """Load the repository's consumers, without the lock.

    Raises:
        ConfigError: when consumers or registry are wrong.
    """
    return check_consumers(_consumers(), load_registry())


def load_registry() -> tuple[Model, ...]:
    """Load the repository's registry without its lock.

    Raises:
        ConfigError: when the registry is wrong.
    """
    return check_registry(_registry().REGISTRY)


def _registry() -> ModuleType:
    registry = import_edited("llama_swap_config.registry")
    hints = {"REGISTRY": tuple[Model, ...], "RESIDENCY": Residency}
    require_types("registry", {name: getattr(registry, name, None) for name in hints}, hints)
    return registry


def _consumers() -> tuple[Consumer, ...]:
    consumers = getattr(import_edited("llama_swap_config.consumers"), "CONSUMERS", None)
    require_types("consumers", {"CONSUMERS": consumers}, {"CONSUMERS": tuple[Consumer, ...]})
    return cast(tuple[Consumer, ...], consumers)
