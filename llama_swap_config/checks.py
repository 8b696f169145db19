"""The checks across models: what no single model can know of itself."""

from __future__ import annotations

from collections.abc import Iterable

from llama_swap_config.errors import ConfigError
from llama_swap_config.model import Model


def check_registry(models: Iterable[Model]) -> tuple[Model, ...]:
    """Refuse a registry in which one name means two models.

    Args:
        models: The registry, in the operator's order.

    Returns:
        The same models.

    Raises:
        ConfigError: for an empty registry, an id used twice, and an alias that is another
            model's id or alias; both models are named.
    """
    checked = tuple(models)
    if not checked:
        raise ConfigError("registry: has no model; allowed: at least one; add a Model to REGISTRY")
    owner: dict[str, Model] = {}
    for model in checked:
        if model.id in owner:
            raise ConfigError.of(
                f"model {model.id!r}", "id", model.id, allowed="an id of its own",
                remedy="rename or remove one of the two models",
            )  # fmt: skip
        owner[model.id] = model
    for model in checked:
        for alias in model.aliases:
            if alias in owner:
                raise ConfigError.of(
                    f"model {model.id!r}", "aliases", alias,
                    allowed=f"a name that no model has yet (model {owner[alias].id!r} has it)",
                    remedy="rename one of the two",
                )  # fmt: skip
            owner[alias] = model
    return checked
