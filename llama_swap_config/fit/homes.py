"""In which pools models are: checked as declared, and proposed for those without a home."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import Node, check_alone, check_budget, check_together
from llama_swap_config.fit.figures import figures
from llama_swap_config.fit.host import check_disk
from llama_swap_config.fit.placement import Cards, card_choices, moved_to
from llama_swap_config.fit.residency import NamedSets, Residency, Residents
from llama_swap_config.fit.vram import on_cards
from llama_swap_config.lock.locked import LockedModel

Models = tuple[LockedModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A pool as a home of models."""

    name: str
    node: Node
    residency: Residency
    volume: str
    """Name of the pool whose download Job fills its volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Pools and cards for a model that names no pool, or one that does not take it."""

    id: str
    pools: tuple[str, ...] = ()
    """Its home first; empty: no pool takes it."""
    cards: Cards = ()
    arguments: tuple[str, ...] = ()
    """What to write into its Model, such as `cards=(0, 1)`."""
    is_estimate: bool = False
    """Whether the engine was not asked about it."""
    problem: str = ""
    """Why no pool takes it."""


def models_of(name: str, models: Models) -> Models:
    """Return the models that name a pool."""
    return tuple(locked for locked in models if name in locked.model.pools)


def models_on(volume: str, models: Models, homes: tuple[Home, ...]) -> Models:
    """Return the models that a pool's download Job fills its volume with; empty: it has none.

    Args:
        volume: The pool's name.
        models: All models.
        homes: All pools.
    """
    names = {home.name for home in homes if home.volume == volume}
    return tuple(locked for locked in models if not names.isdisjoint(locked.model.pools))


def check_home(
    home: Home, models: Models, homes: tuple[Home, ...], *, formulas: bool = False
) -> Residents:
    """Check that a pool runs its models, and compute which may be resident together.

    Args:
        home: The pool.
        models: Its models.
        homes: All pools.
        formulas: As for `check_budget`.

    Raises:
        ConfigError: as `check_budget`; where there are several pools, with the pool's name and,
            for a model that does not run there, the nearest pool.
    """
    others = tuple(other for other in homes if other.name != home.name)
    if not others:
        return check_budget(models, home.residency, home.node, formulas=formulas)
    try:
        for locked in models:
            try:
                check_alone(locked, home.node, formulas=formulas)
            except ConfigError as error:
                raise ConfigError(f"{error}{_elsewhere(locked, home, others)}") from error
        return check_together(models, home.residency, home.node)
    except ConfigError as error:
        raise ConfigError(_in_pool(home, error)) from error


def proposed_homes(models: Models, homes: tuple[Home, ...]) -> tuple[Proposal, ...]:
    """Propose pools and cards for models that no pool takes as they are declared.

    A pool that takes a model keeps it. The others are placed in the registry's order, so that one
    more at its end changes no other proposal: in a pool that they name, else on the fewest cards,
    of these on those with the fewest models, and of these on the smallest.

    Args:
        models: The whole locked registry.
        homes: All pools.

    Returns:
        The models that need another line, in the registry's order.

    Raises:
        ConfigError: when the memory of a model is not known where it is declared.
    """
    plan = _Plan(homes=homes)
    proposals: dict[str, Proposal] = {}
    homeless = []
    for locked in models:
        kept = plan.keep(locked)
        if not kept:
            homeless.append(locked)
        elif kept != locked.model.pools:
            proposals[locked.model.id] = _proposal(locked, locked, kept)
    for locked in homeless:
        proposals[locked.model.id] = plan.place(locked)
    return tuple(proposals[it.model.id] for it in models if it.model.id in proposals)


@dataclass(slots=True, kw_only=True)
class _Plan:
    """Which models each pool has taken so far."""

    homes: tuple[Home, ...]
    taken: dict[str, Models] = field(default_factory=dict)
    """Name of a pool -> its models."""

    def keep(self, locked: LockedModel) -> tuple[str, ...]:
        """Let the declared pools take a model, and return the names of those that do."""
        by_name = {home.name: home for home in self.homes}
        kept: list[Home] = []
        for home in (by_name[name] for name in locked.model.pools if name in by_name):
            # What is not known is for `ops lock`: no other pool is better for it.
            on_cards(locked, home.node.machine)
            has_build = not kept or kept[0].node.engine_build == home.node.engine_build
            if has_build and not (_refusal(locked, home) or self._crowded(locked, home)):
                self._take(locked, home)
                kept.append(home)
        return tuple(home.name for home in kept)

    def place(self, locked: LockedModel) -> Proposal:
        """Let the best pool take a model."""
        options = [(home, moved) for home in self.homes for moved in _choices(locked, home)]
        options.sort(key=lambda option: self._cost(locked, *option))
        crowded = ""
        for home, moved in options:
            if _refusal(moved, home):
                continue
            if error := self._crowded(moved, home):
                crowded = crowded or _in_pool(home, error)
                continue
            self._take(moved, home)
            known = figures(moved.model, moved.memory, home.node.engine_build)
            proposal = _proposal(locked, moved, (home.name,))
            return replace(proposal, is_estimate=known is None)
        return Proposal(id=locked.model.id, problem=crowded or _nearest(locked, options))

    def _take(self, locked: LockedModel, home: Home) -> None:
        self.taken[home.name] = (*self._models(home), locked)

    def _models(self, home: Home) -> Models:
        return self.taken.get(home.name, ())

    def _crowded(self, locked: LockedModel, home: Home) -> ConfigError | None:
        """Return why a pool cannot take a model beside those that it has."""
        beside = (*self._models(home), locked)
        ids = {it.model.id for it in beside}
        residency = home.residency
        if isinstance(residency, NamedSets):  # The rest of a set may not be placed yet.
            sets = (tuple(it for it in named if it in ids) for named in residency.sets)
            residency = NamedSets(sets=tuple(named for named in sets if len(named) > 1))
        (owner,) = (it for it in self.homes if it.name == home.volume)
        on_volume = (
            it for other in self.homes if other.volume == home.volume for it in self._models(other)
        )
        try:
            check_together(beside, residency, home.node)
            check_disk((*on_volume, locked), owner.node.storage_size_gib)
        except ConfigError as error:
            return error
        return None

    def _cost(self, locked: LockedModel, home: Home, moved: LockedModel) -> tuple[float, ...]:
        """Order the choices of a model; the best first."""
        model, cards = locked.model, moved.model.cards
        rank = model.pools.index(home.name) if home.name in model.pools else len(model.pools)
        sets = home.residency.sets if isinstance(home.residency, NamedSets) else ()
        keeps_split = len(cards) > 1 and cards == model.cards
        load = max(sum(card in it.model.cards for it in self._models(home)) for card in cards)
        return (
            rank,
            not any(model.id in named for named in sets),
            0 if keeps_split else len(cards),
            load,
            bool(self._models(home)),
            home.node.card.free_mib,
        )


_Option = tuple[Home, LockedModel]
"""A pool, and the model on some of its cards."""


def _choices(locked: LockedModel, home: Home) -> Iterator[LockedModel]:
    """Yield a model on each choice of a pool's cards, as it is declared first."""
    model = locked.model
    if max(model.cards) < home.node.cards:
        yield locked
    for cards in card_choices(home.node.cards):
        if cards != model.cards or model.tensor_split:
            yield moved_to(locked, cards)


def _refusal(locked: LockedModel, home: Home) -> ConfigError | None:
    """Return why a pool does not run a model; figures that the lock lacks are estimated."""
    try:
        check_alone(locked, home.node, formulas=True)
    except ConfigError as error:
        return error
    return None


def _in_pool(home: Home, error: ConfigError) -> str:
    return f"pool {home.name!r}: {str(error).removeprefix('settings: ')}"


def _proposal(locked: LockedModel, moved: LockedModel, pools: tuple[str, ...]) -> Proposal:
    before, after = locked.model, moved.model
    arguments = []
    if pools != before.pools:
        names = ", ".join(f'"{name}"' for name in pools)
        arguments.append(f"pools=({names}{',' if len(pools) == 1 else ''})")
    if after.cards != before.cards:
        arguments.append(f"cards={after.cards}")
    if after.tensor_split != before.tensor_split:
        arguments.append("tensor_split=()")
    return Proposal(
        id=before.id,
        pools=pools,
        cards=after.cards,
        arguments=tuple(arguments),
    )


def _elsewhere(locked: LockedModel, home: Home, others: tuple[Home, ...]) -> str:
    """Return a sentence about the other pools for the error about a model; empty: none helps."""
    refusal = _refusal(locked, home)
    if refusal is None:  # Only the engine's figures are missing.
        return ""
    options = [(other, moved) for other in others for moved in _choices(locked, other)]
    options.sort(key=lambda option: option[1] is not locked)
    for other, moved in options:
        if _refusal(moved, other) is None:
            arguments = _proposal(locked, moved, (other.name,)).arguments
            return f" It fits pool {other.name!r}: {', '.join(arguments)}."
    nearest = _nearest(locked, options)
    return "" if str(refusal) in nearest else f" No other pool takes it: {nearest}"


def _nearest(locked: LockedModel, options: list[_Option]) -> str:
    """Say which of the pools that refuse a model lacks the least memory, or what else it lacks."""

    def missing_mib(option: _Option) -> float:
        home, moved = option
        try:
            needed = max(it.total_mib for it in on_cards(moved, home.node.machine).values())
        except ConfigError:  # Nothing is known of its memory there.
            return math.inf
        return max(needed - home.node.card.free_mib, 0)

    home, moved = min(options, key=missing_mib)
    missing = missing_mib((home, moved))
    if missing in (0, math.inf) and (error := _refusal(moved, home)):
        return _in_pool(home, error)
    cards = f" with cards={moved.model.cards}" if moved is not locked else ""
    return f"pool {home.name!r}{cards} lacks {missing:.0f} MiB."
