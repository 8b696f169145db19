"""What is declared: the registry, its lock and the checks of both, loaded in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from llama_swap_config.checks import check_registry
from llama_swap_config.fit.budget import Node, check_budget
from llama_swap_config.fit.residency import ONE_AT_A_TIME, Residency, Residents
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LOCK_PATH, Lock, LockedModel, lock_models
from llama_swap_config.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A registry that is checked and locked."""

    locked: tuple[LockedModel, ...]
    """The models, in the operator's order, each with its files."""
    residency: Residency
    """Which of them may be on the card together."""
    lock: Lock
    """The whole lock, also the files that no model uses."""

    @classmethod
    def of(
        cls,
        models: Iterable[Model],
        residency: Residency = ONE_AT_A_TIME,
        lock_path: Path = LOCK_PATH,
    ) -> Declaration:
        """Check models, read a lock, and join the two.

        Raises:
            ConfigError: when models or lock are wrong, or the lock does not cover the models.
        """
        checked = check_registry(models)
        lock = read_lock(lock_path)
        return cls(locked=lock_models(checked, lock), residency=residency, lock=lock)

    @property
    def models(self) -> tuple[Model, ...]:
        """The registry."""
        return tuple(each.model for each in self.locked)

    def residents(self, node: Node) -> Residents:
        """Refuse what does not run on a node, and work out what may be on its card together.

        Raises:
            ConfigError: the first thing that does not hold, with its numbers and a way out.
        """
        return check_budget(self.locked, self.residency, node)


def load(lock_path: Path = LOCK_PATH) -> Declaration:
    """Load the repository's registry with a lock (default: the repository's own).

    Raises:
        ConfigError: as `Declaration.of` does, and for a bad entry of the registry.
    """
    # Imported here because a bad entry already fails when the registry is imported.
    from llama_swap_config.registry import REGISTRY, RESIDENCY

    return Declaration.of(REGISTRY, RESIDENCY, lock_path)


def load_registry() -> tuple[Model, ...]:
    """Load the repository's registry alone, whatever its lock is.

    Raises:
        ConfigError: when the registry is wrong.
    """
    from llama_swap_config.registry import REGISTRY

    return check_registry(REGISTRY)
