"""What the lock's figures say of a context: exact or never too low."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from llama_swap_config.fit.figures import (
    RESERVING_FIELDS,
    at_most,
    cells,
    covers,
    memory_flags,
    unproven,
)
from llama_swap_config.fit.vram import check_figures, resident
from llama_swap_config.flags import BY_FIELD
from llama_swap_config.lock.memory import AtContext, Measured
from llama_swap_config.model import Model, Sampling
from tests.llama_swap_config.fit.shapes import LIKELY, QWEN3VL_8B, changed, on

T4 = on(LIKELY)
Curve = Callable[[int], float]
CURVES: dict[str, Curve] = {
    "a cache": lambda cells: cells * 0.140625,
    "a sliding window": lambda cells: cells * 0.02 + min(cells, 1536) * 0.1,
    "recurrent states": lambda cells: 62.25,
    "the larger of two parts": lambda cells: max(300.75, 80 + cells * 0.0078),
    "a window beside the larger of two": lambda cells: (
        max(300, 80 + cells * 0.01) + min(cells, 4096) * 0.05
    ),
}


def measured(curve: Curve, contexts: tuple[int, ...], *, parts: int = 1) -> Measured:
    return Measured(
        engine_build=1,
        flags="",
        sha256=("a",),
        weights_mib=1,
        projector_mib=0,
        vision_compute_mib=0,
        contexts=tuple(
            AtContext(
                context=context,
                kv_cache_mib=round(curve(cells(context, parts=parts)), 2),
                compute_mib=1,
            )
            for context in contexts
        ),
    )


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES.keys())
def test_no_context_is_said_to_take_less_than_it_does(curve: Curve) -> None:
    draw = random.Random(7)
    for _ in range(300):
        parts = draw.choice((1, 1, 2, 4))
        largest = draw.choice((8192, 40960, 131072, 262144))
        contexts = {draw.randrange(1, largest) for _ in range(draw.randint(1, 6))} | {largest}
        known = measured(curve, tuple(sorted(contexts)), parts=parts)
        for _ in range(20):
            context = draw.randrange(1, largest + 1)
            said, is_exact = at_most(known.contexts, context, "kv_cache_mib", parts=parts)
            truth = curve(cells(context, parts=parts))
            assert said >= truth - 0.005
            if is_exact:
                assert said == pytest.approx(truth, abs=0.0051)


def test_three_figures_on_a_line_prove_it() -> None:
    known = measured(CURVES["a cache"], (1280, 3072, 262144))
    said, is_exact = at_most(known.contexts, 8192, "kv_cache_mib", parts=1)
    assert not is_exact
    assert 1152 <= said <= 1155


def test_two_figures_prove_no_line() -> None:
    known = measured(CURVES["a cache"], (1280, 262144))
    assert at_most(known.contexts, 8192, "kv_cache_mib", parts=1) == (36864, False)


def test_a_context_of_the_same_cells_is_exact() -> None:
    known = measured(CURVES["a cache"], (3072, 6144))
    assert at_most(known.contexts, 2900, "kv_cache_mib", parts=1) == (432, True)


def test_the_widest_gap_without_a_line_is_measured_next() -> None:
    window = measured(CURVES["a sliding window"], (256, 1024, 131072)).contexts
    assert unproven(window, parts=1) == 11776
    assert unproven(measured(CURVES["a cache"], (256, 1024, 131072)).contexts, parts=1) is None


MODEL = Model(id="m", repository="o/m", quantisation="Q4_K_M")


@pytest.mark.parametrize(
    "same",
    [
        replace(MODEL, context=8192),
        replace(MODEL, ttl_s=1, aliases=("a",), sampling=Sampling(temperature=0.5)),
        replace(MODEL, extra_args=("--threads", "4", "--no-context-shift")),
        replace(MODEL, cards=(1,)),
    ],
)
def test_what_changes_no_memory_needs_no_engine(same: Model) -> None:
    assert memory_flags(same) == memory_flags(MODEL)


@pytest.mark.parametrize(
    "other",
    [
        replace(MODEL, parallel_slots=2),
        replace(MODEL, kv_cache_type_k="q8_0", kv_cache_type_v="q8_0"),
        replace(MODEL, image_max_tokens=512),
        replace(MODEL, extra_args=("-ub", "256")),
        replace(MODEL, extra_args=("--swa-full",)),
        replace(MODEL, cards=(0, 1)),
    ],
)
def test_what_may_change_memory_is_measured_again(other: Model) -> None:
    assert memory_flags(other) != memory_flags(MODEL)


def test_each_field_with_a_flag_is_known_to_change_memory_or_not_to() -> None:
    others = {"id", "projector", "aliases", "context", "reasoning", "cards", "tensor_split"}
    sampling = {field for field in BY_FIELD if field.startswith("sampling.")}
    assert set(BY_FIELD) == {*RESERVING_FIELDS, *others, *sampling}


def test_two_spellings_of_a_flag_are_one() -> None:
    long, short = (replace(MODEL, extra_args=(flag, "256")) for flag in ("--ubatch-size", "-ub"))
    assert memory_flags(long) == memory_flags(short)


def test_the_engine_answers_for_the_declared_context() -> None:
    vram = resident(QWEN3VL_8B, T4)
    (known,) = QWEN3VL_8B.memory
    assert vram.source == "engine"
    assert vram.weights == known.weights_mib
    assert vram.vision_compute == known.vision_compute_mib


@pytest.mark.parametrize("context", [1600, 5000, 20_000, 200_000])
def test_an_edited_context_needs_no_engine(context: int) -> None:
    edited = changed(QWEN3VL_8B, context=context)
    check_figures(edited, 10524)
    vram = resident(edited, T4)
    formula = resident(replace(edited, memory=()), T4)
    assert vram.source == "at most"
    assert formula.source == "formula"
    assert formula.total_mib <= vram.total_mib + 0.1
    assert vram.total_mib <= formula.total_mib + 0.3


def test_a_context_above_the_largest_measured_one_is_not_covered() -> None:
    assert not covers(measured(CURVES["a cache"], (256, 1024)), 1025)
