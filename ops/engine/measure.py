"""Ask an engine build for a model's memory at several contexts, for the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from llama_swap_config.fit.figures import cells, figures, least_context, memory_flags, unproven
from llama_swap_config.fit.vram import MIB, caches, passed_on_mib
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.lock.memory import AtContext, Measured, OnCard
from ops.engine.promised import Promised, promised

_MOST_POINTS = 12
"""A question takes a quarter of a second."""


def measure(locked: LockedModel, folder: Path, *, programs: Path, engine_build: int) -> Measured:
    """Measure a model with its flags.

    The contexts are the least that works, the declared one, its half, its double and each
    fourfold of that up to the largest that the model was trained for, and further ones where no
    line is proven between those.

    Args:
        locked: The model and its headers.
        folder: Holds its files, or their headers alone, under the names of their links.
        programs: The directory of llama-server and ggml-rpc-server.
        engine_build: Their build of llama.cpp.

    Raises:
        OpsError: with the engine's own words when it refuses the model.
    """
    model = locked.model
    link = locked.weights_link
    first = promised(programs, model, folder, link)
    found = {model.context: first}
    parts = caches(model)
    wanted = list(_contexts(locked))
    cards = range(len(model.cards))
    while len(found) < _MOST_POINTS:
        for context in wanted:
            asked = replace(model, context=context)
            found[context] = promised(programs, asked, folder, link, whole=False)
        gaps = [unproven(_at(locked, found, index), parts=parts) for index in cards]
        wanted = [gap for gap in dict.fromkeys(gaps) if gap is not None and gap not in found][:1]
        if not wanted:
            break
    projector = 0.0
    if locked.projector_header is not None:
        # The log has the sum of tensors and compute buffer.
        tensors = round(locked.projector_header.tensor_bytes / MIB, 2)
        projector = min(tensors, first[0].projector)
    return Measured(
        engine_build=engine_build,
        flags=memory_flags(model),
        sha256=tuple(file.sha256 for file in locked.files),
        weights_mib=first[0].weights or 0.0,
        projector_mib=projector,
        vision_compute_mib=round(first[0].projector - projector, 2),
        contexts=_at(locked, found, 0),
        other_cards=tuple(
            OnCard(weights_mib=first[index].weights or 0.0, contexts=_at(locked, found, index))
            for index in cards[1:]
        ),
    )


def measure_context(
    locked: LockedModel, folder: Path, *, programs: Path, engine_build: int
) -> Measured:
    """Add a model's context, which they lack, to its figures by one question.

    Without figures for its flags, it is measured as for the lock. Args and raises: as `measure`.
    """
    model = locked.model
    known = figures(model, locked.memory, engine_build)
    if known is None:
        return measure(locked, folder, programs=programs, engine_build=engine_build)
    promise = promised(programs, model, folder, locked.weights_link, whole=False)
    parts = [
        replace(
            part, contexts=_sorted((*part.contexts, *_at(locked, {model.context: promise}, index)))
        )
        for index, part in enumerate(known.on_cards)
    ]
    return replace(known, contexts=parts[0].contexts, other_cards=tuple(parts[1:]))


def _contexts(locked: LockedModel) -> tuple[int, ...]:
    model = locked.model
    parts = caches(model)
    least = least_context(model)
    largest = max(locked.weights_header.train_context * parts, model.context)
    wanted = {least, model.context // 2, largest}
    above = 2 * model.context
    while above < largest:
        wanted.add(above)
        above *= 4
    within = {cells(context, parts=parts) for context in wanted if least <= context <= largest}
    # A context that is rounded up above what the model was trained for is refused.
    return tuple(sorted({min(context, largest) for context in within} - {model.context}))


def _at(
    locked: LockedModel, found: Mapping[int, tuple[Promised, ...]], index: int
) -> tuple[AtContext, ...]:
    """Return the terms of one of the model's cards by context."""
    model = locked.model
    contexts = []
    for context, said in found.items():
        compute = said[index].compute
        if index > 0:
            compute += passed_on_mib(replace(model, context=context), locked.weights_header)
        contexts.append(
            AtContext(
                context=context, kv_cache_mib=said[index].kv_cache, compute_mib=round(compute, 2)
            )
        )
    return _sorted(contexts)


def _sorted(contexts: Iterable[AtContext]) -> tuple[AtContext, ...]:
    return tuple(sorted(contexts, key=lambda at: at.context))
