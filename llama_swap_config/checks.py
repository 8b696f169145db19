"""The checks across models."""

from __future__ import annotations

from collections.abc import Iterable

from llama_swap_config.errors import ConfigError
from llama_swap_config.model import Model


def check_registry(models: Iterable[Model]) -> tuple[Model, ...]:
    """Check that each name means one model.

    Args:
        models: The registry, in the operator's order.

    Returns:
        The same models.

    Raises:
        ConfigError: when the registry is empty, an id is used twice, or an alias is another
            model's id or alias. The message names both models.
    """
    checked = tuple(models)
    if not checked:
        raise ConfigError(
            "the registry is empty; expected at least one model. Add a Model to REGISTRY."
        )
    owner: dict[str, Model] = {}
    for model in checked:
        if model.id in owner:
            raise ConfigError.of(
                f"model {model.id!r}", "id", model.id, expected="a unique id",
                remedy="Rename or remove one of the two models",
            )  # fmt: skip
        owner[model.id] = model
    for model in checked:
        for alias in model.aliases:
            if alias in owner:
                raise ConfigError.of(
                    f"model {model.id!r}", "aliases", alias,
                    expected=f"a name that no other model has (model {owner[alias].id!r} has it)",
                    remedy="Rename one of the two",
                )  # fmt: skip
            owner[alias] = model
    return checked
