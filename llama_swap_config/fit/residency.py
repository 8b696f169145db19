"""Which models may be on the card together: the operator's choice, made exact by bytes.

llama-swap knows nothing of memory; what it may load together has to be declared, so it is computed
here. A set allows each of its subsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.vram import resident
from llama_swap_config.lock.locked import LockedModel

MOST_MODELS = 12
"""Models of which all sets are tried: 4,096 of them. A thirteenth would double them, and a matrix
of hundreds of sets is read by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneAtATime:
    """A request for another model ends the one that is loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsManyAsFit:
    """Every set of models that fits the card; a load ends as few as it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSets:
    """The sets that the operator names; a model in none of them is alone when it runs.

    Raises:
        ConfigError: for a set of fewer than two models, and a model twice in one set.
    """

    sets: tuple[tuple[str, ...], ...]
    """Ids that may be resident together."""

    def __post_init__(self) -> None:
        for each in self.sets:
            if isinstance(each, str) or len(each) < 2 or len(set(each)) < len(each):
                raise ConfigError.of(
                    "residency", "a set", each, allowed="two or more different model ids",
                    remedy="correct it in llama_swap_config/registry.py",
                )  # fmt: skip


Residency = OneAtATime | AsManyAsFit | NamedSets
ONE_AT_A_TIME = OneAtATime()

Sets = tuple[tuple[str, ...], ...]
"""The largest sets of two and more models, their ids in the registry's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """What a front end may hold on the card; left out: one model at a time."""

    sets: Sets = ()
    """For llama-swap."""
    models_max: int = 1
    """For llama-server's own router."""

    @property
    def together(self) -> int:
        """The most models at once."""
        return max([self.models_max, *map(len, self.sets)])


ONE_RESIDENT = Residents()


def resident_sets(models: tuple[LockedModel, ...], residency: Residency, machine: Machine) -> Sets:
    """Work out which models may be resident together.

    Args:
        models: The locked registry, each of which fits alone.
        residency: The operator's choice.
        machine: What there is.

    Returns:
        Sets that all fit; none: one model at a time.

    Raises:
        ConfigError: for a named set that does not fit or names no model, and for more models than
            all sets of which can be tried.
    """
    match residency:
        case OneAtATime():
            return ()
        case NamedSets():
            return _named(models, residency, machine)
        case AsManyAsFit():
            return _as_many_as_fit(totals_mib(models, machine), machine.card.free_mib)


def totals_mib(models: tuple[LockedModel, ...], machine: Machine) -> dict[str, float]:
    """What each model takes of the card, in MiB."""
    return {locked.model.id: resident(locked, machine).total_mib for locked in models}


def any_that_fit(totals: Mapping[str, float], free_mib: float) -> int:
    """The largest number of models of which any so many fit together; at least 1."""
    count, taken = 0, 0.0
    for total in sorted(totals.values(), reverse=True):
        taken += total
        if taken > free_mib:
            break
        count += 1
    return max(count, 1)


def models_max(models: tuple[LockedModel, ...], residency: Residency, machine: Machine) -> int:
    """How many models llama-server's own router may hold: it counts them, and knows no sets.

    Raises:
        ConfigError: for named sets, and where not every two models fit.
    """
    if isinstance(residency, OneAtATime):
        return 1
    totals = totals_mib(models, machine)
    count = any_that_fit(totals, machine.card.free_mib)
    if isinstance(residency, AsManyAsFit) and (count > 1 or len(models) == 1):
        return count
    # Reached by named sets too, which the router cannot tell apart.
    pair = sorted(totals.items(), key=lambda each: -each[1])[:2]
    needed = " + ".join(f"{model_id} {total:.0f}" for model_id, total in pair)
    fact = f"here any {count}" if count > 1 else f"{needed} do not in {machine.card.free_mib} MiB"
    raise ConfigError.of(
        "residency", "RESIDENCY", type(residency).__name__,
        allowed="OneAtATime() with the front end llama-server, or AsManyAsFit() where any two "
        f"models fit together ({fact})",
        remedy="choose one of them, or the front end llama-swap",
    )  # fmt: skip


def _named(models: tuple[LockedModel, ...], residency: NamedSets, machine: Machine) -> Sets:
    totals = totals_mib(models, machine)
    order = {model_id: place for place, model_id in enumerate(totals)}
    for each in residency.sets:
        for model_id in each:
            if model_id not in totals:
                raise ConfigError.of(
                    "residency", "a set's model", model_id,
                    allowed=f"ids of the registry: {', '.join(totals)}",
                    remedy="correct it in llama_swap_config/registry.py",
                )  # fmt: skip
        _check_fits(each, totals, machine.card)
    sets = [tuple(sorted(each, key=order.__getitem__)) for each in residency.sets]
    largest = [ids for ids in sets if not any(set(ids) < set(other) for other in sets)]
    return tuple(dict.fromkeys(largest))


def _check_fits(ids: tuple[str, ...], totals: Mapping[str, float], card: Card) -> None:
    needed = sum(totals[each] for each in ids)
    if needed <= card.free_mib:
        return
    parts = " + ".join(f"{each} {totals[each]:.0f}" for each in ids)
    # What has to go is the smallest model whose absence is enough, else the largest.
    enough = [each for each in ids if needed - totals[each] <= card.free_mib]
    out = min(enough or ids, key=lambda each: totals[each] if enough else -totals[each])
    raise ConfigError.of(
        "residency", "a set", ids,
        allowed=f"what fits into {card.share}; this one needs {needed:.0f} "
        f"({parts}), {needed - card.free_mib:.0f} too many",
        remedy=f"leave {out!r} out, or lower a context (`python -m ops fit`)",
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
            allowed=f"at most {MOST_MODELS} models, unless all fit together or no two do",
            remedy="name the sets that matter by NamedSets",
        )  # fmt: skip
    return tuple(each for each in _largest_sets(ids, totals, free_mib) if len(each) > 1)


def _largest_sets(
    ids: tuple[str, ...], totals: Mapping[str, float], free_mib: float
) -> Iterator[tuple[str, ...]]:
    """Every set that fits and that no further model fits into, in the registry's order."""

    def fitting(rest: tuple[str, ...], free: float) -> Iterator[tuple[str, ...]]:
        if not rest:
            yield ()
            return
        if totals[rest[0]] <= free:
            for others in fitting(rest[1:], free - totals[rest[0]]):
                yield (rest[0], *others)
        yield from fitting(rest[1:], free)

    for found in fitting(ids, free_mib):
        left = free_mib - sum(totals[each] for each in found)
        if all(totals[each] > left for each in ids if each not in found):
            yield found
