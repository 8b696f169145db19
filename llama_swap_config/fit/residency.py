"""Which models may be on the card together: the operator's choice, checked by bytes.

llama-swap does not know memory, so the sets that it may load together are computed here. A set
also allows its subsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.vram import resident
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.typed import typed

MOST_MODELS = 12
"""Models of which all sets are tried: 4,096 sets. Each further model doubles them, and nobody
reads a matrix of hundreds of sets."""


@typed("residency")
@dataclass(frozen=True, slots=True, kw_only=True)
class OneAtATime:
    """A request for another model unloads the present one."""


@typed("residency")
@dataclass(frozen=True, slots=True, kw_only=True)
class AsManyAsFit:
    """Any set of models that fits the card; a load unloads as few as possible."""


@typed("residency")
@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSets:
    """The sets that the operator names; a model in no set runs alone.

    Raises:
        ConfigError: when a set has fewer than two models, or the same model twice.
    """

    sets: tuple[tuple[str, ...], ...]
    """Ids that may be resident together."""

    def __post_init__(self) -> None:
        for ids in self.sets:
            if len(ids) < 2 or len(set(ids)) < len(ids):
                raise ConfigError.of(
                    "residency", "a set", ids, expected="two or more different model ids",
                    remedy="Correct it in llama_swap_config/registry.py",
                )  # fmt: skip


Residency = OneAtATime | AsManyAsFit | NamedSets
ONE_AT_A_TIME = OneAtATime()

Sets = tuple[tuple[str, ...], ...]
"""The largest sets of two or more models, with their ids in the registry's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """What a front end may keep on the card (default: one model at a time)."""

    sets: Sets = ()
    """For llama-swap."""
    models_max: int = 1
    """For llama-server's own router."""

    @property
    def together(self) -> int:
        """Largest number of models at once."""
        return max([self.models_max, *map(len, self.sets)])


ONE_RESIDENT = Residents()


def resident_sets(models: tuple[LockedModel, ...], residency: Residency, machine: Machine) -> Sets:
    """Compute which models may be resident together.

    Args:
        models: The locked registry, each of which fits alone.
        residency: The operator's choice.
        machine: The card and the engine.

    Returns:
        Sets that fit; empty for one model at a time.

    Raises:
        ConfigError: when a named set does not fit or names an unknown model, or there are more
            than `MOST_MODELS` models.
    """
    match residency:
        case OneAtATime():
            return ()
        case NamedSets():
            return _named(models, residency, machine)
        case AsManyAsFit():
            return _as_many_as_fit(totals_mib(models, machine), machine.card.free_mib)


def totals_mib(models: tuple[LockedModel, ...], machine: Machine) -> dict[str, float]:
    """VRAM of each model, in MiB."""
    return {locked.model.id: resident(locked, machine).total_mib for locked in models}


def any_that_fit(totals: Mapping[str, float], free_mib: float) -> int:
    """Largest number n for which any n models fit together; at least 1."""
    count, taken = 0, 0.0
    for total in sorted(totals.values(), reverse=True):
        taken += total
        if taken > free_mib:
            break
        count += 1
    return max(count, 1)


def models_max(models: tuple[LockedModel, ...], residency: Residency, machine: Machine) -> int:
    """Compute how many models llama-server's router may load: it counts models and has no sets.

    Raises:
        ConfigError: when sets are named, or not every two models fit.
    """
    if isinstance(residency, OneAtATime):
        return 1
    totals = totals_mib(models, machine)
    count = any_that_fit(totals, machine.card.free_mib)
    if isinstance(residency, AsManyAsFit) and (count > 1 or len(models) == 1):
        return count
    # Named sets come here too: the router cannot tell them apart.
    pair = sorted(totals.items(), key=lambda total: -total[1])[:2]
    needed = " + ".join(f"{model_id} {total:.0f}" for model_id, total in pair)
    free_mib = machine.card.free_mib
    fact = f"here any {count}" if count > 1 else f"{needed} MiB do not fit {free_mib} MiB"
    raise ConfigError.of(
        "residency", "RESIDENCY", type(residency).__name__,
        expected="OneAtATime() with the front end llama-server, or AsManyAsFit() where any two "
        f"models fit together ({fact})",
        remedy="Choose one of them, or the front end llama-swap",
    )  # fmt: skip


def _named(models: tuple[LockedModel, ...], residency: NamedSets, machine: Machine) -> Sets:
    totals = totals_mib(models, machine)
    order = {model_id: place for place, model_id in enumerate(totals)}
    for ids in residency.sets:
        for model_id in ids:
            if model_id not in totals:
                raise ConfigError.of(
                    "residency", "a set's model", model_id,
                    expected=f"an id of the registry: {', '.join(totals)}",
                    remedy="Correct it in llama_swap_config/registry.py",
                )  # fmt: skip
        _check_fits(ids, totals, machine.card)
    sets = [tuple(sorted(ids, key=order.__getitem__)) for ids in residency.sets]
    largest = [ids for ids in sets if not any(set(ids) < set(other) for other in sets)]
    return tuple(dict.fromkeys(largest))


def _check_fits(ids: tuple[str, ...], totals: Mapping[str, float], card: Card) -> None:
    needed = sum(totals[model_id] for model_id in ids)
    if needed <= card.free_mib:
        return
    parts = " + ".join(f"{model_id} {totals[model_id]:.0f}" for model_id in ids)
    # Name the smallest model whose removal is enough, else the largest.
    enough = [model_id for model_id in ids if needed - totals[model_id] <= card.free_mib]
    sign = 1 if enough else -1
    out = min(enough or ids, key=lambda model_id: sign * totals[model_id])
    raise ConfigError.of(
        "residency", "a set", ids,
        expected=f"a set that fits {card.share}: this one needs {needed:.0f} "
        f"({parts}), {needed - card.free_mib:.0f} too many",
        remedy=f"Remove {out!r}, or lower a context (`python -m ops fit`)",
    )  # fmt: skip


def _as_many_as_fit(totals: Mapping[str, float], free_mib: float) -> Sets:
    ids = tuple(totals)
    if len(ids) < 2 or sum(sorted(totals.values())[:2]) > free_mib:
        return ()
    if sum(totals.values()) <= free_mib:
        return (ids,)
    if len(ids) > MOST_MODELS:
        raise ConfigError.of(
            "residency", "RESIDENCY", f"AsManyAsFit with {len(ids)} models",
            expected=f"at most {MOST_MODELS} models, unless all fit together or no two do",
            remedy="Name the sets that matter by NamedSets",
        )  # fmt: skip
    return tuple(group for group in _largest_sets(ids, totals, free_mib) if len(group) > 1)


def _largest_sets(
    ids: tuple[str, ...], totals: Mapping[str, float], free_mib: float
) -> Iterator[tuple[str, ...]]:
    """Yield every set that fits and to which no model can be added, in the registry's order."""

    def fitting(rest: tuple[str, ...], free: float) -> Iterator[tuple[str, ...]]:
        if not rest:
            yield ()
            return
        if totals[rest[0]] <= free:
            for others in fitting(rest[1:], free - totals[rest[0]]):
                yield (rest[0], *others)
        yield from fitting(rest[1:], free)

    for group in fitting(ids, free_mib):
        left = free_mib - sum(totals[model_id] for model_id in group)
        if all(totals[model_id] > left for model_id in ids if model_id not in group):
            yield group
