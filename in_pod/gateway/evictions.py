"""Which models a front end would end to load another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .policy import Card, Combination


def evictions(
    model: str,
    running: Collection[str],
    *,
    front_end: str,
    card: Card,
    busy: Collection[str] = (),
    last_used: Mapping[str, float] | None = None,
) -> tuple[str, ...]:
    """Return what a front end ends for a model, as llama-swap v250 and the router b11434 do.

    Args:
        model: The model that a request names.
        running: The models that are loaded or loading.
        front_end: `llama-swap` or `llama-server`.
        card: Which models may be loaded together.
        busy: The models with a request; the router ends these last.
        last_used: Model -> when its last request began; the router ends the oldest (default: no
            model had one).
    """
    others = sorted(set(running) - {model})
    if model in running:
        return ()
    if front_end == "llama-swap":
        return _outside_cheapest_set(model, others, card)
    used = last_used or {}
    others.sort(key=lambda other: (other in busy, used.get(other, float("-inf"))))
    return tuple(others[: max(0, len(others) + 1 - card.models_max)])


def _outside_cheapest_set(model: str, others: list[str], card: Card) -> tuple[str, ...]:
    sets = (*card.sets, *(_cheapest(model, others, it) for it in card.combinations))
    ended = [tuple(other for other in others if other not in ids) for ids in sets if model in ids]
    # The first of equally cheap sets wins; a model in no set runs alone.
    return min(ended, key=len, default=tuple(others))


def _cheapest(model: str, others: Collection[str], combination: Combination) -> tuple[str, ...]:
    """Return the set of a combination that keeps the most of the others beside a model."""
    chosen = [*combination.split]
    for sets in combination.choices:
        with_model = [ids for ids in sets if model in ids]
        chosen += max(with_model or sets, key=lambda ids: len(set(ids).intersection(others)))
    return tuple(chosen)
