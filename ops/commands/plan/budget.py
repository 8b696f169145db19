"""Card and volume before and after: the fits of both sides, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Fit = dict[str, Any]
"""Output of `ops.commands.fit.text.as_json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """VRAM of a model, or of models that may be resident together."""

    models: tuple[str, ...]
    before_mib: float | None
    """None: the base does not have it, or is unknown."""
    after_mib: float | None
    """None: the head does not have it."""
    spare_mib: float | None
    """Spare VRAM after the merge; below zero: it does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Needed and total size of the volume."""

    needed_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Card and volume of both sides."""

    card: str
    """The head's card and the memory that its models may use, in words."""
    card_before: str | None
    """The base's; None: unknown."""
    engine_build: int | None
    """The head's build of llama.cpp; None: unknown, as in an older tree."""
    engine_build_before: int | None
    loads: tuple[Load, ...]
    volume: Extent | None
    """None: it is another pool's."""
    volume_before: Extent | None
    problem: str | None
    """The head's error about what does not fit; None: everything fits."""
    stand_ins: tuple[str, ...]
    """One line for each of the head's models whose figures mean nothing."""
    notes: tuple[str, ...]
    """Which of the head's figures are not the engine's for these very values and files."""

    @property
    def other_engine(self) -> bool:
        """Whether the engine is known to change: other figures with the same objects."""
        return None is not self.engine_build_before != self.engine_build

    @property
    def spare_mib(self) -> float | None:
        """The least spare VRAM of all models and possible sets."""
        spare = [load.spare_mib for load in self.loads if load.spare_mib is not None]
        return min(spare, default=None)


def compare_budgets(before: Fit | None, after: Fit) -> Budget:
    """Put two fits side by side.

    Args:
        before: The base's; None: unknown.
        after: The head's.
    """
    old = {} if before is None else _totals(before)
    new = _totals(after)
    return Budget(
        card=_card(after),
        card_before=None if before is None else _card(before),
        engine_build=after.get("engine_build"),
        engine_build_before=None if before is None else before.get("engine_build"),
        loads=tuple(
            Load(
                models=models,
                before_mib=old.get(models, (None, None))[0],
                after_mib=new.get(models, (None, None))[0],
                spare_mib=new.get(models, (None, None))[1],
            )
            for models in {**new, **old}
        ),
        volume=_volume(after),
        volume_before=None if before is None else _volume(before),
        problem=after["problem"],
        stand_ins=tuple(after["stand_ins"]),
        notes=tuple(after.get("notes", ())),
    )


def _totals(fit: Fit) -> dict[tuple[str, ...], tuple[float, float]]:
    """Total and spare MiB of each model, then of each possible set."""
    alone = {(model["id"],): (model["total_mib"], model["spare_mib"]) for model in fit["models"]}
    # Of models on the same cards, the card with the least room comes last.
    sets = sorted(fit["sets"], key=lambda model_set: -model_set["spare_mib"])
    least = {
        tuple(model_set["models"]): (model_set["total_mib"], model_set["spare_mib"])
        for model_set in sets
        if model_set["reachable"]
    }
    in_order = (tuple(model_set["models"]) for model_set in fit["sets"])
    return alone | {models: least[models] for models in in_order if models in least}


def _card(fit: Fit) -> str:
    card = fit["card"]
    free, usable = card["free_mib"], card["usable_mib"]
    share = f"{free} of {usable} MiB" if free != usable else f"{usable} MiB"
    # An older tree has one card.
    count = card.get("count", 1)
    return (
        f"{card['product']}, {share}" if count == 1 else f"{count} {card['product']}, {share} each"
    )


def _volume(fit: Fit) -> Extent | None:
    volume = fit["volume"]
    if volume is None:
        return None
    return Extent(needed_bytes=volume["needed_bytes"], size_bytes=volume["size_bytes"])
