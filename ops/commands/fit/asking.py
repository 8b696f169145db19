"""Find what each model takes with assumed values: by the engine, if this machine has it."""

from __future__ import annotations

from dataclasses import replace

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import Node
from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.engine import check_engine
from llama_swap_config.fit.remedies import largest_context
from llama_swap_config.fit.vram import resident
from llama_swap_config.lock.locked import LOCK_COMMAND, LockedModel
from ops.commands.fit.answer import Answer, LargestContext
from ops.commands.fit.what_if import WhatIf, estimate
from ops.engine.at_hand import WithFigures, engine_at_hand
from ops.engine.headers import NotAtHandError
from ops.engine.several import ask_each, figures_problem, wants_figures
from ops.errors import OpsError


def ask(
    models: tuple[LockedModel, ...], node: Node, what_if: WhatIf, *, largest: bool
) -> tuple[Answer, ...]:
    """Ask the engine about the models whose values are assumed.

    Args:
        models: The models, as `assume` returns them.
        node: The card and the engine.
        what_if: What was assumed.
        largest: Whether to find the largest context too.

    Raises:
        OpsError: when nothing is known of a model's memory, or the engine refuses the model.
    """

    def answer(locked: LockedModel) -> Answer:
        changed = what_if.changes_models and wants_figures(locked, node.machine)
        if not what_if.is_about(locked.model.id) or not (changed or largest):
            return Answer(locked=estimate(locked))
        return _answer(locked, node, changed=changed, largest=largest)

    answers, failures = ask_each(models, answer)
    for failure in failures.values():
        raise OpsError(failure)
    return tuple(answers[locked.model.id] for locked in models)


def _answer(locked: LockedModel, node: Node, *, changed: bool, largest: bool) -> Answer:
    machine, known = node.machine, estimate(locked)
    try:
        check_engine(
            locked,
            engine_build=node.engine_build,
            gpu_layers=node.llama_swap.server.gpu_layers,
        )
    except ConfigError:  # The budget's check says it, and an engine would in other words.
        return Answer(locked=known)
    try:
        with engine_at_hand(locked, node.engine_build) as with_figures:
            has_figures = not (changed or figures_problem(locked, node.engine_build))
            asked = estimate(locked if has_figures else with_figures(locked))
            return Answer(
                # Without assumptions the verdict is that of a synth, which has only the lock.
                locked=asked if changed else known,
                asked=changed,
                largest=_largest(asked, machine, with_figures) if largest else None,
            )
    except NotAtHandError as error:
        reason = str(error)
    try:
        resident(known, machine)
        return Answer(
            locked=known,
            not_asked=reason,
            largest=_largest(known, machine) if largest else None,
        )
    except ConfigError as error:
        raise OpsError(
            f"the engine was not asked about these values: {reason}, and there is no formula for "
            f"{locked.weights_header.architecture}. Set them in llama_swap_config/registry.py and "
            f"run `{LOCK_COMMAND}`"
        ) from error


def _largest(
    locked: LockedModel, machine: Machine, with_figures: WithFigures | None = None
) -> LargestContext:
    tokens = largest_context(locked, machine, with_figures)
    if with_figures is not None:
        return LargestContext(tokens=tokens, source="engine")
    model = locked.model if tokens is None else replace(locked.model, context=tokens)
    by_formula = resident(replace(locked, model=model), machine).source == "formula"
    return LargestContext(tokens=tokens, source="formula" if by_formula else "at most")
