"""Compare each model and each set of models with its card, and all of them with the node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import Node
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.homes import Home, check_home
from llama_swap_config.fit.host import GIB, disk_bytes, host_memory_mib
from llama_swap_config.fit.placement import proposed_cards
from llama_swap_config.fit.residency import (
    ONE_RESIDENT,
    AsManyAsFit,
    NamedSets,
    Residency,
    cards_of,
    resident_sets,
)
from llama_swap_config.fit.vram import Vram, on_cards
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.lock.stand_in import stand_in_problems
from llama_swap_config.model import KvCacheType
from ops.commands.fit.answer import Answer, LargestContext
from ops.commands.fit.what_if import is_estimated
from stacks.pools import DeclaredPool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFit:
    """One model alone on its cards."""

    id: str
    context: int
    kv_cache_type: KvCacheType
    projector: str | None
    estimated: bool
    """Whether the projector's size is predicted, because the lock does not have that file."""
    cards: Mapping[int, Vram]
    """Card -> what it takes there."""
    tensor_split: tuple[int, ...]
    spare_mib: float
    """Of the card with the least; below zero: it does not fit."""
    asked: bool
    """Whether the engine was asked now, about these values."""
    not_asked: str
    """Why the engine was not asked, though it could say more."""
    largest: LargestContext | None
    """None: nobody wanted it."""

    @property
    def vram(self) -> Vram:
        """Its terms, on all its cards together."""
        return Vram.sum_of(self.cards.values())

    @property
    def total_mib(self) -> float:
        """VRAM of all its terms."""
        return self.vram.total_mib


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFit:
    """Models that are on a card together."""

    models: tuple[str, ...]
    reachable: bool
    """Whether RESIDENCY allows it; otherwise it only would fit."""
    card: int
    """The card's number."""
    vram: tuple[Vram, ...]
    """What each model takes of that card."""
    spare_mib: float

    @property
    def total_mib(self) -> float:
        """VRAM of all its models."""
        return sum(vram.total_mib for vram in self.vram)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the registry fits the card and the node."""

    card: Card
    """Each of the cards."""
    count: int
    """How many there are."""
    engine_build: int
    models: tuple[ModelFit, ...]
    sets: tuple[SetFit, ...]
    disk_bytes: int | None
    """With the largest model counted twice, for while it is replaced; None: the volume is another
    pool's."""
    disk_limit_bytes: int
    host_memory_mib: float
    host_memory_limit_mib: int
    problem: str | None
    """The error of `make synth`; None if everything fits."""
    stand_ins: tuple[str, ...]
    """One line for each model whose figures mean nothing."""
    unverified: tuple[str, ...]
    """Models whose files are not read from the hub yet, but known from published shapes."""
    proposals: Mapping[str, tuple[int, ...] | None] | None
    """Model that does not fit -> cards where it would; None: nowhere. None if nobody asked."""


def fit(
    models: tuple[LockedModel, ...],
    residency: Residency,
    node: Node,
    *,
    answers: Collection[Answer] = (),
    what_if: bool = False,
    propose: bool = False,
) -> Fit:
    """Compare what the models need with the cards and the node, which are the only ones.

    Args:
        models: The locked registry.
        residency: Which models may be on the card together.
        node: The card, the engine and the node.
        answers: What `ask` said of them (default: it was not called).
        what_if: Whether the models have assumed values, for which a formula may answer (default:
            no).
        propose: Whether to propose cards for models that do not fit (default: no).

    Raises:
        ConfigError: if the memory of a model is not known.
    """
    home = Home(name="", node=node, residency=residency, volume="")
    return fit_home(
        home, models, (home,), models, answers=answers, what_if=what_if, propose=propose
    )


def fit_pool(pool: DeclaredPool) -> Fit:
    """Compare the models of a pool with its cards and its node, as they are declared.

    Raises:
        ConfigError: if the memory of a model is not known.
    """
    return fit_home(pool.home, pool.declaration.locked, pool.homes, pool.downloads)


def fit_home(
    home: Home,
    models: tuple[LockedModel, ...],
    homes: tuple[Home, ...],
    on_volume: tuple[LockedModel, ...],
    *,
    answers: Collection[Answer] = (),
    what_if: bool = False,
    propose: bool = False,
) -> Fit:
    """Compare what a pool's models need with its cards and its node.

    Args:
        home: The pool.
        models: Its models.
        homes: All pools.
        on_volume: The models that its download Job fills its volume with.
        answers: As for `fit`.
        what_if: As for `fit`.
        propose: As for `fit`.

    Raises:
        ConfigError: if the memory of a model is not known.
    """
    node, residency = home.node, home.residency
    card = node.card
    problem, residents = None, ONE_RESIDENT
    try:
        residents = check_home(home, models, homes, formulas=what_if)
    except ConfigError as error:
        problem = str(error)
    said = {answer.locked.model.id: answer for answer in answers}
    try:
        sets = _sets(models, residency, node)
    except ConfigError as error:
        # The check before has the better reason, such as a context that no engine takes.
        raise ConfigError(problem or str(error)) from error
    reachable = (len(model_set.models) for model_set in sets if model_set.reachable)
    together = max([residents.together, *reachable])
    return Fit(
        card=card,
        count=node.cards,
        engine_build=node.engine_build,
        models=tuple(
            _model(said.get(locked.model.id, Answer(locked=locked)), node.machine)
            for locked in models
        ),
        sets=sets,
        disk_bytes=disk_bytes(on_volume) if on_volume else None,
        disk_limit_bytes=node.storage_size_gib * GIB,
        host_memory_mib=host_memory_mib(
            models, cache_ram_mib=node.llama_swap.server.cache_ram_mib, together=together
        ),
        host_memory_limit_mib=node.memory_limit_gib * 1024,
        problem=problem,
        stand_ins=stand_in_problems(models),
        unverified=tuple(locked.model.id for locked in models if not locked.is_verified),
        proposals=proposed_cards(models, residency, node.machine, node.cards) if propose else None,
    )


def _model(answer: Answer, machine: Machine) -> ModelFit:
    locked = answer.locked
    model, cards = locked.model, on_cards(locked, machine)
    return ModelFit(
        id=model.id,
        context=model.context,
        kv_cache_type=model.kv_cache_type_k,
        projector=model.projector,
        estimated=is_estimated(locked),
        cards=cards,
        tensor_split=model.tensor_split,
        spare_mib=machine.card.free_mib - max(it.total_mib for it in cards.values()),
        asked=answer.asked,
        not_asked=answer.not_asked,
        largest=answer.largest,
    )


def _sets(models: tuple[LockedModel, ...], residency: Residency, node: Node) -> tuple[SetFit, ...]:
    vram = {locked.model.id: on_cards(locked, node.machine) for locked in models}
    return tuple(
        SetFit(
            models=ids,
            reachable=reachable,
            card=card,
            vram=tuple(vram[model_id][card] for model_id in ids),
            spare_mib=node.card.free_mib - sum(vram[model_id][card].total_mib for model_id in ids),
        )
        for card in cards_of(models)
        for reachable, ids in _sets_of(card, models, residency, node)
    )


def _sets_of(
    card: int, models: tuple[LockedModel, ...], residency: Residency, node: Node
) -> tuple[tuple[bool, tuple[str, ...]], ...]:
    """Return the sets of a card, and whether RESIDENCY allows them."""
    if isinstance(residency, NamedSets):
        cards = {locked.model.id: locked.model.cards for locked in models}
        known = (ids for ids in residency.sets if set(ids) <= set(cards))
        here = (tuple(it for it in ids if card in cards[it]) for ids in known)
        return tuple((True, ids) for ids in dict.fromkeys(here) if len(ids) > 1)
    try:
        sets = resident_sets(models, AsManyAsFit(), node.machine, card)
        reachable = isinstance(residency, AsManyAsFit)
        if reachable:
            front_end = FRONT_ENDS[node.front_end]
            sets = front_end.reachable_sets(models, residency, node.machine, card)
    except ConfigError:
        # Too many models to try all sets; with AsManyAsFit the budget check has reported it.
        return ()
    return tuple((reachable, ids) for ids in sets)
