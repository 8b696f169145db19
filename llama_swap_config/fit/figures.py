"""What the lock's figures of the engine say of a model at its context."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from llama_swap_config.flags import BY_FIELD, BY_NAME
from llama_swap_config.lock.memory import AtContext, Measured
from llama_swap_config.model import Model

CELLS = 256
"""llama.cpp rounds the context, and each slot's share of it, up to a multiple of this."""
RESERVING_FIELDS = (
    "parallel_slots",
    "kv_cache_type_k",
    "kv_cache_type_v",
    "image_max_tokens",
    "image_min_tokens",
)
"""Fields of a model, but for the context, whose flags change its memory."""
Term = Literal["kv_cache_mib", "compute_mib"]
_ROUNDING_MIB = 0.02
"""Two figures of the log, each rounded to 0.01 MiB, and the line through them."""


def memory_flags(model: Model) -> str:
    """Return the flags, without the context, on which a model's memory of the card depends."""
    words: list[str] = []
    for field in RESERVING_FIELDS:
        value = getattr(model, field)
        if value is not None:
            words += [BY_FIELD[field].names[0], str(value)]
    if model.shares:
        words += [BY_FIELD["tensor_split"].names[0], ",".join(map(str, model.shares))]
    rest = iter(model.extra_args)
    for word in rest:
        flag = BY_NAME[word]
        value = [next(rest)] if flag.takes_value else []
        words += [flag.names[0], *value] if flag.reserves else []
    return " ".join(words)


def figures(model: Model, memory: Sequence[Measured], engine_build: int) -> Measured | None:
    """Find the figures of a build for a model's flags that cover its context."""
    flags = memory_flags(model)
    for measured in memory:
        if (measured.engine_build, measured.flags) == (engine_build, flags):
            is_of_cards = len(measured.on_cards) == len(model.cards)
            return measured if is_of_cards and covers(measured, model.context) else None
    return None


def cells(context: int, *, parts: int) -> int:
    """Round a context up as llama.cpp does; `parts` is the number of separate caches."""
    return rounded_up(rounded_up(context) // parts) * parts


def least_context(model: Model) -> int:
    """Return the smallest context that a model accepts: one image, or some text, for each slot."""
    return ((model.image_max_tokens or 0) + 1) * model.parallel_slots


def rounded_up(tokens: int) -> int:
    """Round up to a multiple of `CELLS`."""
    return -(-tokens // CELLS) * CELLS


def covers(measured: Measured, context: int) -> bool:
    """Whether a context is not above the largest measured one."""
    return context <= measured.contexts[-1].context


def at_most(
    contexts: Sequence[AtContext], context: int, term: Term, *, parts: int
) -> tuple[float, bool]:
    """Return MiB of a term that are not too low, and whether they are exact.

    No term falls as the context grows, so the figure of the next measured context is never too
    low. Where three neighbours lie on a line it is taken instead: the cache grows by the token,
    or stops growing once a sliding window is full; the compute buffer is the largest of several
    linear parts. Neither bends between three points of one line.

    Args:
        contexts: The figures, which cover the context.
        context: `--ctx-size`.
        term: The term.
        parts: Number of separate caches: the slots, or 1 where they share one.
    """
    wanted = cells(context, parts=parts)
    points = _points(contexts, term, parts)
    above = next(index for index, (size, _) in enumerate(points) if size >= wanted)
    if points[above][0] == wanted:
        return points[above][1], True
    high, high_mib = points[above]
    lowest = high_mib
    for first, second, third in _lines(points, above):
        low, low_mib = points[above - 1]
        line = low_mib + (wanted - low) / (high - low) * (high_mib - low_mib)
        # How far a bend that the rounding hides can be above the line.
        spread = (third[0] - first[0]) / min(second[0] - first[0], third[0] - second[0])
        lowest = min(lowest, math.ceil((line + _ROUNDING_MIB * spread) * 100) / 100)
    return lowest, False


Point = tuple[int, float]


def _lines(points: Sequence[Point], above: int) -> Iterator[Sequence[Point]]:
    """Yield each three neighbours on one line that has the points on both sides of a context."""
    for start in (above - 2, above - 1):
        three = points[start : start + 3] if start >= 0 else ()
        if above > 0 and len(three) == 3 and _is_line(*three):
            yield three


def _is_line(first: Point, second: Point, third: Point) -> bool:
    """Whether three figures, each rounded to 0.01 MiB, lie on one line."""
    share = (second[0] - first[0]) / (third[0] - first[0])
    line = first[1] + share * (third[1] - first[1])
    return abs(second[1] - line) <= _ROUNDING_MIB


def unproven(contexts: Sequence[AtContext], *, parts: int) -> int | None:
    """Find a context to measure next: the middle of the widest gap that no line spans.

    Returns:
        Tokens; None where each gap is spanned, or no wider than a doubling.
    """
    terms = [_points(contexts, term, parts) for term in get_args(Term)]
    sizes = [size for size, _ in terms[0]]
    widest = (2.0, 0)
    for above, (low, high) in enumerate(itertools.pairwise(sizes), 1):
        middle = cells(math.isqrt(low * high), parts=parts)
        is_spanned = all(any(True for _ in _lines(points, above)) for points in terms)
        if not is_spanned and low < middle < high:
            widest = max(widest, (high / low, middle))
    return widest[1] or None


def _points(contexts: Sequence[AtContext], term: str, parts: int) -> list[Point]:
    """Return the figures by cells; contexts of the same cells have the same ones."""
    return sorted({cells(at.context, parts=parts): getattr(at, term) for at in contexts}.items())
