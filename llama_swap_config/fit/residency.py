"""Which models may be on a card together: the operator's choice, checked by bytes.

llama-swap does not know memory, so the sets that it may load together are computed here. A set
also allows its subsets. The choice is checked card by card: models on different cards never
exclude each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.vram import on_cards
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.typed import typed

MOST_MODELS = 12
"""Models of which all sets are tried: 4,096 sets. Each further model doubles them, and nobody
reads a matrix of hundreds of sets."""


@typed("residency")
@dataclass(frozen=True, slots=True, kw_only=True)
class OneAtATime:
    """A request for another model of a card unloads the card's present one."""


@typed("residency")
@dataclass(frozen=True, slots=True, kw_only=True)
class AsManyAsFit:
    """Any set of models that fits each card; a load unloads as few as possible."""


@typed("residency")
@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSets:
    """The sets that the operator names; a model in no set is alone on its cards.

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
class Combination:
    """Models that may be loaded together: all of `split`, and one set of each card's `choices`."""

    split: tuple[str, ...]
    """Models that are on several cards."""
    choices: tuple[Sets, ...]
    """Card by card, the sets of models that are on it alone; here a set may be one model."""

    @property
    def together(self) -> int:
        """Largest number of models at once."""
        return len(self.split) + sum(max(map(len, sets)) for sets in self.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """What a front end may keep loaded (default: one model at a time)."""

    sets: Sets = ()
    """For llama-swap, where all models are on one card."""
    combinations: tuple[Combination, ...] = ()
    """For llama-swap, where they are on several."""
    models_max: int = 1
    """For llama-server's own router."""

    @property
    def together(self) -> int:
        """Largest number of models at once."""
        several = (combination.together for combination in self.combinations)
        return max([self.models_max, *map(len, self.sets), *several])


ONE_RESIDENT = Residents()


def residents_of(
    models: tuple[LockedModel, ...], residency: Residency, machine: Machine
) -> Residents:
    """Compute which models llama-swap may keep loaded together.

    Args and raises: as `resident_sets`.
    """
    by_card = {card: resident_sets(models, residency, machine, card) for card in cards_of(models)}
    if len(by_card) == 1:
        (sets,) = by_card.values()
        return Residents(sets=sets)
    return Residents(combinations=_combinations(models, by_card))


def resident_sets(
    models: tuple[LockedModel, ...], residency: Residency, machine: Machine, card: int = 0
) -> Sets:
    """Compute which models may be on a card together.

    Args:
        models: The locked registry, each of which fits alone.
        residency: The operator's choice.
        machine: The card and the engine.
        card: The card's number (default: the first).

    Returns:
        Sets that fit; empty for one model at a time.

    Raises:
        ConfigError: when a named set does not fit or names an unknown model, or there are more
            than `MOST_MODELS` models.
    """
    if isinstance(residency, OneAtATime):
        return ()
    cards = mib_by_card(models, machine)
    mib = {model_id: on_card[card] for model_id, on_card in cards.items() if card in on_card}
    number = card if len(cards_of(models)) > 1 else None
    if isinstance(residency, AsManyAsFit):
        return _as_many_as_fit(mib, machine.card.free_mib, number)
    for ids in residency.sets:
        _check_known(ids, cards)
        _check_fits(ids, {it: mib[it] for it in ids if it in mib}, machine.card, number)
    named = (tuple(model_id for model_id in mib if model_id in ids) for ids in residency.sets)
    return _largest(ids for ids in named if len(ids) > 1)


def cards_of(models: Iterable[LockedModel]) -> tuple[int, ...]:
    """Return the cards that models are on, in their order."""
    return tuple(sorted({card for locked in models for card in locked.model.cards}))


def mib_by_card(models: tuple[LockedModel, ...], machine: Machine) -> dict[str, dict[int, float]]:
    """Return the MiB that each model takes of each of its cards: id -> card -> MiB."""
    return {
        locked.model.id: {card: vram.total_mib for card, vram in on_cards(locked, machine).items()}
        for locked in models
    }


def totals_mib(models: tuple[LockedModel, ...], machine: Machine) -> dict[str, float]:
    """VRAM of each model, on all its cards together, in MiB."""
    return {
        model_id: sum(cards.values()) for model_id, cards in mib_by_card(models, machine).items()
    }


def _combinations(
    models: tuple[LockedModel, ...], by_card: Mapping[int, Sets]
) -> tuple[Combination, ...]:
    """Compute combinations that allow exactly the sets that each card allows."""
    ids = {card: tuple(it.model.id for it in models if card in it.model.cards) for card in by_card}
    # A model in no set is alone on the card.
    allowed = {
        card: (*sets, *((it,) for it in ids[card] if not any(it in group for group in sets)))
        for card, sets in by_card.items()
    }
    split = {it.model.id: it.model.cards for it in models if len(it.model.cards) > 1}

    def choices(chosen: tuple[str, ...]) -> tuple[Sets, ...] | None:
        """Return each card's sets beside the chosen; None where a card does not allow those."""
        found = []
        for card, sets in allowed.items():
            on_card = {model_id for model_id in chosen if card in split[model_id]}
            beside = [group for group in sets if on_card <= set(group)]
            if not beside:
                return None
            alone = (tuple(it for it in group if it not in split) for group in beside)
            found.append(_largest(group for group in alone if group))
        return tuple(sets for sets in found if sets)

    chosen_by_choices: dict[tuple[Sets, ...], list[tuple[str, ...]]] = {}

    def collect(chosen: tuple[str, ...], rest: tuple[str, ...]) -> None:
        found = choices(chosen)
        if found is None:
            return
        chosen_by_choices.setdefault(found, []).append(chosen)
        for index, model_id in enumerate(rest):
            collect((*chosen, model_id), rest[index + 1 :])

    collect((), tuple(split))
    return tuple(
        Combination(split=chosen, choices=found)
        for found, alike in chosen_by_choices.items()
        for chosen in _largest(alike)
        if chosen or found
    )


def _largest(sets: Iterable[tuple[str, ...]]) -> Sets:
    """Drop sets that another one contains."""
    different = tuple(dict.fromkeys(sets))
    return tuple(
        ids
        for ids in different
        if not any(len(ids) < len(it) and set(ids) < set(it) for it in different)
    )


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

    On several cards that is all of them: otherwise a model could end one of another card.

    Raises:
        ConfigError: when sets are named, or not every two models fit; on several cards, when not
            all models fit, or two of a card with one at a time.
    """
    cards = cards_of(models)
    if len(cards) > 1:
        return _all_models(models, residency, machine)
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
    raise _not_by_router(
        residency,
        "OneAtATime() with the front end llama-server, or AsManyAsFit() where any two models fit "
        f"together ({fact})",
        "Choose one of them, or the front end llama-swap",
    )


def _all_models(models: tuple[LockedModel, ...], residency: Residency, machine: Machine) -> int:
    by_card = mib_by_card(models, machine)
    cards = cards_of(models)
    shared = {card: [it for it, on_card in by_card.items() if card in on_card] for card in cards}
    crowded = [(card, ids) for card, ids in shared.items() if len(ids) > 1]
    expected = (
        "AsManyAsFit() with the front end llama-server and several cards, where all models fit at "
        "once, or OneAtATime() with one model a card: it counts models, not cards"
    )
    if isinstance(residency, NamedSets) or (isinstance(residency, OneAtATime) and crowded):
        fact = f" (card {crowded[0][0]} has {', '.join(crowded[0][1])})" if crowded else ""
        raise _not_by_router(residency, f"{expected}{fact}", "Choose the front end llama-swap")
    for card in cards:
        # Its llama-servers see all cards, and each has a CUDA context on every one.
        foreign = (len(models) - len(shared[card])) * machine.card.cuda_context_mib
        needed = sum(by_card[model_id][card] for model_id in shared[card]) + foreign
        if needed > machine.card.free_mib:
            raise _not_by_router(
                residency,
                f"{expected} (card {card} needs {needed:.0f} MiB, {foreign} of them for the other "
                f"cards' models, and has {machine.card.free_mib})",
                "Choose the front end llama-swap",
            )
    return len(models)


def _not_by_router(residency: Residency, expected: str, remedy: str) -> ConfigError:
    return ConfigError.of(
        "residency", "RESIDENCY", type(residency).__name__, expected=expected, remedy=remedy
    )


def _check_known(ids: tuple[str, ...], known: Collection[str]) -> None:
    for model_id in ids:
        if model_id not in known:
            raise ConfigError.of(
                "residency", "a set's model", model_id,
                expected=f"an id of the registry: {', '.join(known)}",
                remedy="Correct it in llama_swap_config/registry.py",
            )  # fmt: skip


def _check_fits(
    ids: tuple[str, ...], totals: Mapping[str, float], card: Card, number: int | None
) -> None:
    """Check a set, of which `totals` has the MiB of the models that are on the card."""
    needed = sum(totals.values())
    if needed <= card.free_mib:
        return
    parts = " + ".join(f"{model_id} {mib:.0f}" for model_id, mib in totals.items())
    # Name the smallest model whose removal is enough, else the largest.
    enough = [model_id for model_id, mib in totals.items() if needed - mib <= card.free_mib]
    sign = 1 if enough else -1
    out = min(enough or totals, key=lambda model_id: sign * totals[model_id])
    raise ConfigError.of(
        "residency", "a set", ids,
        expected=f"a set that fits {card.share_of(number)}: this one needs {needed:.0f} "
        f"({parts}), {needed - card.free_mib:.0f} too many",
        remedy=f"Remove {out!r}, or lower a context (`python -m ops fit`)",
    )  # fmt: skip


def _as_many_as_fit(totals: Mapping[str, float], free_mib: float, number: int | None) -> Sets:
    ids = tuple(totals)
    if len(ids) < 2 or sum(sorted(totals.values())[:2]) > free_mib:
        return ()
    if sum(totals.values()) <= free_mib:
        return (ids,)
    if len(ids) > MOST_MODELS:
        raise ConfigError.of(
            "residency", "RESIDENCY", f"AsManyAsFit with {len(ids)} models",
            expected=f"at most {MOST_MODELS} models"
            f"{'' if number is None else f' on card {number}'}, "
            "unless all fit together or no two do",
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
