"""Compare each model with every pool, and the models of each pool with its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from llama_swap_config.declaration import Declaration
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.homes import Home, Proposal, models_of, models_on, proposed_homes
from llama_swap_config.fit.vram import on_cards
from llama_swap_config.lock.locked import LockedModel
from ops.commands.fit.answer import Answer
from ops.commands.fit.asking import ask
from ops.commands.fit.run import Fit, fit_home
from ops.commands.fit.what_if import WhatIf, assume, estimate
from stacks.pools import DeclaredPool, homes_of, pools_of
from stacks.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFit:
    """A pool and how its models fit it."""

    home: Home
    fit: Fit | None
    """None: no model names it."""

    def spare_mib(self, card: int) -> float:
        """Return what its models leave of a card when the most of them are on it."""
        models, sets = ((), ()) if self.fit is None else (self.fit.models, self.fit.sets)
        loads = [model.cards[card].total_mib for model in models if card in model.cards]
        loads += [it.total_mib for it in sets if it.reachable and it.card == card]
        return self.home.node.card.free_mib - max(loads, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInPools:
    """A model with what it takes in each pool, whether that is a home of it or not."""

    id: str
    context: int
    pools: tuple[str, ...]
    """As the registry names them, its home first."""
    mib: Mapping[str, Mapping[int, float]]
    """Pool -> card -> MiB; a pool where nothing is known of it is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolsFit:
    """How the registry fits the pools."""

    pools: tuple[PoolFit, ...]
    """All, or the only one that is wanted."""
    models: tuple[ModelInPools, ...]
    """Empty for a single pool."""
    proposals: tuple[Proposal, ...] | None
    """None: nobody asked, or for a single pool, whose fit has its own."""
    problem: str | None
    """The first error of `make synth`; None if everything fits."""

    @property
    def only(self) -> Fit | None:
        """The fit of a single pool; None: there are several."""
        return self.pools[0].fit if len(self.pools) == 1 else None


def fit_one(pool: DeclaredPool, what_if: WhatIf, *, largest: bool, propose: bool) -> PoolsFit:
    """Compare the models of a pool, which may be the only one, with its cards and its node.

    Args:
        pool: The pool.
        what_if: What to assume.
        largest: Whether to find the largest context of each model too.
        propose: Whether to propose cards for models that do not fit.

    Raises:
        ConfigError: if the registry refuses an assumed value, or the memory of a model is not
            known.
        OpsError: as `assume` and `ask`.
    """
    declaration = pool.declaration
    models, node = assume(declaration.locked, pool.home.node, what_if, declaration.lock)
    answers = ask(models, node, what_if, largest=largest)
    known = {answer.locked.model.id: answer.locked for answer in answers}
    found = fit_home(
        replace(pool.home, node=node),
        tuple(known.values()),
        pool.homes,
        tuple(known.get(it.model.id, it) for it in pool.downloads),
        answers=answers,
        what_if=what_if != WhatIf(),
        propose=propose,
    )
    return PoolsFit(
        pools=(PoolFit(home=pool.home, fit=found),),
        models=(),
        proposals=None,
        problem=found.problem,
    )


def fit_all(
    settings: Settings, declaration: Declaration, what_if: WhatIf, *, propose: bool
) -> PoolsFit:
    """Compare all models with all pools.

    Args:
        settings: The settings, with several pools.
        declaration: All models.
        what_if: What to assume.
        propose: Whether to propose pools and cards for models that no pool takes as declared.

    Raises:
        ConfigError: if pools cannot be told apart, the registry refuses an assumed value, or the
            memory of a model is not known in a pool that it names.
        OpsError: as `assume` and `ask`.
    """
    models, _ = assume(declaration.locked, settings.node, what_if, declaration.lock)
    homes = homes_of(settings, declaration.residency)
    problem = None
    try:
        pools_of(settings, replace(declaration, locked=models))
    except ConfigError as error:
        problem = str(error)
    answers: dict[str, Answer] = {}
    for home in homes:  # All pools of a model have one build, so that one answer is enough.
        own = tuple(it for it in models_of(home.name, models) if it.model.id not in answers)
        for answer in ask(own, home.node, what_if, largest=False) if own else ():
            answers[answer.locked.model.id] = answer
    known = tuple(
        answers[it.model.id].locked if it.model.id in answers else estimate(it) for it in models
    )
    pools = tuple(_pool(home, known, homes, answers, what_if) for home in homes)
    problems = (problem, *(pool.fit.problem for pool in pools if pool.fit is not None))
    return PoolsFit(
        pools=pools,
        models=tuple(_model(locked, homes) for locked in known),
        proposals=proposed_homes(known, homes) if propose else None,
        problem=next((it for it in problems if it is not None), None),
    )


def _pool(
    home: Home,
    models: tuple[LockedModel, ...],
    homes: tuple[Home, ...],
    answers: Mapping[str, Answer],
    what_if: WhatIf,
) -> PoolFit:
    own = models_of(home.name, models)
    if not own:
        return PoolFit(home=home, fit=None)
    found = fit_home(
        home,
        own,
        homes,
        models_on(home.name, models, homes),
        answers=tuple(answers.values()),
        what_if=what_if != WhatIf(),
    )
    return PoolFit(home=home, fit=found)


def _model(locked: LockedModel, homes: tuple[Home, ...]) -> ModelInPools:
    mib: dict[str, dict[int, float]] = {}
    for home in homes:
        try:
            found = on_cards(locked, home.node.machine)
        except ConfigError:  # Neither figures for that engine, nor a formula.
            continue
        mib[home.name] = {card: vram.total_mib for card, vram in found.items()}
    model = locked.model
    return ModelInPools(id=model.id, context=model.context, pools=model.pools, mib=mib)
