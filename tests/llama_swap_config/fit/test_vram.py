"""The predicted VRAM against measurements and published logs, term by term."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.remedies import as_q8_0, largest_context
from llama_swap_config.fit.vision import vision_compute_bytes
from llama_swap_config.fit.vram import (
    Vram,
    kv_cache_bytes,
    micro_batch,
    predict,
    resident,
    slot_cells,
)
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import KvCacheType, Model
from tests.llama_swap_config.fit.shapes import (
    LIKELY_T4,
    MINICPM,
    NEWER_T4,
    PUBLISHED_Q8_0_BYTES,
    QWEN3_4B,
    QWEN3_8B,
    QWEN3VL_4B,
    QWEN3VL_8B,
    T4,
    changed,
    file_of,
    on,
    text_model,
    with_header,
    with_projector,
    with_q8_0_projector,
)

MIB = 2**20


def of(weights: WeightsHeader, machine: Machine = LIKELY_T4, **fields: Any) -> Vram:
    return resident(text_model("x", weights, **fields), machine)


def kv(kv_type: KvCacheType) -> dict[str, Any]:
    return {"kv_cache_type_k": kv_type, "kv_cache_type_v": kv_type}


# An embedding server reserves the logits of a whole micro-batch, as every server did before
# June 2026: the figures of those builds check the other branch of the compute buffer.
ALL_LOGITS = ("--embedding", "--pooling", "mean")
FOUR_UNIFIED: dict[str, Any] = {"parallel_slots": 4, "extra_args": ("--kv-unified",)}
T4_RESIDENT = of(QWEN3_8B, on(Card(product="Tesla-T4", cuda_context_mib=170)), context=16384)
RTX_RESIDENT = of(QWEN3_8B, context=8192)

CUDA = {
    "weights of an 8B": (of(QWEN3_8B).weights, 4455.34),
    "weights of a 4B, output tied": (of(QWEN3_4B).weights, 2375.91),
    "KV cache at 8192": (of(QWEN3_8B, context=8192).kv_cache, 1152),
    "KV cache of a 4B at 8192": (of(QWEN3_4B, context=8192).kv_cache, 1152),
    "compute of an 8B at 8192": (of(QWEN3_8B, context=8192).compute, 104.01),
    "vision compute at start": (resident(QWEN3VL_8B, LIKELY_T4).vision_compute, 372.08),
    "projector of the 8B": (resident(QWEN3VL_8B, LIKELY_T4).projector, 1105.32),
    "resident at 16384 on a T4, context of an RTX": (T4_RESIDENT.total_mib, 6996),
    "resident at 8192 on an RTX, context of a T4": (RTX_RESIDENT.total_mib, 5881),
}
"""CUDA logs of these builds: within 1 %."""


@pytest.mark.parametrize(("predicted", "measured"), CUDA.values(), ids=CUDA.keys())
def test_cuda_logs_are_predicted_within_one_per_cent(predicted: float, measured: float) -> None:
    assert predicted == pytest.approx(measured, rel=0.01)


ELSEWHERE = {
    "KV q4_0 at 8192, ROCm": (of(QWEN3_8B, context=8192, **kv("q4_0")).kv_cache, 324, 0.0),
    "KV q8_0 at 16384": (of(QWEN3_8B, context=16384, **kv("q8_0")).kv_cache, 1224, 0.0),
    "all logits of an 8B, ROCm, May 2026": (
        of(QWEN3_8B, context=8192, extra_args=ALL_LOGITS).compute, 304.75, 0.0,
    ),
    "all logits of a 4B, Metal, build 9010": (
        of(QWEN3_4B, context=2048, extra_args=ALL_LOGITS).compute, 301.75, 0.0,
    ),
    "4B at 8192, four slots unified, CUDA, build unknown": (
        of(QWEN3_4B, context=8192, **FOUR_UNIFIED).compute, 85.01, -0.024,
    ),
    "Qwen3-VL at 16384 q8_0, November 2025": (
        of(QWEN3_8B, context=16384, extra_args=ALL_LOGITS, **kv("q8_0")).compute, 352.77, -0.136,
    ),
    "8B at 4096, Metal": (of(QWEN3_8B, context=4096).compute, 92.0, 0.087),
    "4B at 4096, Metal": (of(QWEN3_4B, context=4096).compute, 76.3, 0.035),
}  # fmt: skip
"""Other backends or builds, with the error in benchmarks/README.md."""


@pytest.mark.parametrize(
    ("predicted", "measured", "error"), ELSEWHERE.values(), ids=ELSEWHERE.keys()
)
def test_other_builds_are_predicted_with_the_documented_error(
    predicted: float, measured: float, error: float
) -> None:
    assert predicted / measured - 1 == pytest.approx(error, abs=0.001)


PREDICTIONS = {
    "qwen3-8b at 16384": (text_model("x", QWEN3_8B, context=16384), 6996),
    "qwen3-8b at 8192": (text_model("x", QWEN3_8B, context=8192), 5836),
    "qwen3vl-8b": (QWEN3VL_8B, 6613),
    "qwen3vl-8b Q8_0": (with_q8_0_projector(QWEN3VL_8B), 6225),
    "qwen3vl-4b": (QWEN3VL_4B, 4143),
    "qwen3vl-4b Q8_0": (with_q8_0_projector(QWEN3VL_4B), 3778),
    "minicpm-v-4-5": (MINICPM, 6218),
}


@pytest.mark.parametrize(("locked", "mib"), PREDICTIONS.values(), ids=PREDICTIONS.keys())
def test_the_total_of_one_server(locked: LockedModel, mib: int) -> None:
    assert resident(locked, LIKELY_T4).total_mib == pytest.approx(mib, abs=1)


@pytest.mark.parametrize(
    ("locked", "tokens", "mib"),
    [
        (QWEN3VL_8B, 1024, 372.08),
        (QWEN3VL_8B, 4096, 720.25),
        (QWEN3VL_4B, 2116, 322.48),
        (QWEN3VL_4B, 4096, 624.25),
        (MINICPM, 640, 62.81),
    ],
)
def test_the_tower_reserves_its_warm_up_or_the_largest_image(
    locked: LockedModel, tokens: int, mib: float
) -> None:
    limited = changed(locked, image_max_tokens=tokens, context=8192)
    assert resident(limited, LIKELY_T4).vision_compute == pytest.approx(mib, rel=1e-4)


def test_a_newer_engine_reserves_no_more_than_the_limit() -> None:
    assert resident(QWEN3VL_8B, NEWER_T4).vision_compute == pytest.approx(180.06, rel=1e-4)
    large = changed(QWEN3VL_8B, image_max_tokens=4096, context=8192)
    assert resident(large, NEWER_T4).vision_compute == pytest.approx(720.25, rel=1e-4)


def test_a_newer_engine_copies_the_rows_of_an_embedding_server_too() -> None:
    wanted = replace(QWEN3_8B, width=1024, vocabulary=32000, feed_forward=3072)
    found = of(wanted, NEWER_T4, context=512, extra_args=ALL_LOGITS)
    assert found.compute == pytest.approx(72.52, rel=0.001)


def test_a_micro_batch_is_no_larger_than_the_context() -> None:
    models = [text_model("x", QWEN3_8B, context=context).model for context in (100, 300, 3072)]
    assert [micro_batch(model) for model in models] == [100, 300, 512]


@pytest.mark.parametrize(
    ("shape", "mib"),
    [
        ({"output_width": 2048}, 359.68),
        ({"output_width": 3584}, 359.68),
        ({"output_width": 4608}, 396.87),
        ({"deepstack_layers": 0}, 248.10),
        ({"deepstack_layers": 1}, 285.29),
        ({"deepstack_layers": 2}, 334.89),
        ({"feed_forward": 8192}, 475.40),
        ({"width": 1280, "feed_forward": 5120, "layers": 32, "output_width": 3584}, 396.88),
        ({"width": 1024, "feed_forward": 4096, "layers": 24, "output_width": 1024}, 322.49),
        ({"width": 1024, "feed_forward": 4096, "layers": 24, "output_width": 2048}, 322.49),
    ],
)
def test_the_towers_buffer_for_other_shapes(shape: dict[str, int], mib: float) -> None:
    projector = QWEN3VL_8B.projector_header
    assert projector is not None
    found = vision_compute_bytes(replace(projector, **shape), 2116)  # type: ignore[arg-type]
    assert found / MIB == pytest.approx(mib, rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "mib", "error"),
    [
        ({"output_width": 5120}, 417.55, 0.010),
        ({"width": 768}, 235.70, 0.053),
        ({"width": 512}, 157.18, 0.10),
        ({"width": 768, "deepstack_layers": 0}, 161.31, 0.077),
    ],
)
def test_the_towers_buffer_for_less_exact_shapes(
    shape: dict[str, int], mib: float, error: float
) -> None:
    projector = QWEN3VL_8B.projector_header
    assert projector is not None
    small = {"feed_forward": 4 * shape.get("width", 1076), "output_width": 1024}
    wanted = replace(projector, **(small | shape))  # type: ignore[arg-type]
    found = vision_compute_bytes(wanted, 2116)
    assert found / MIB / mib - 1 == pytest.approx(error, abs=0.006)


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (with_projector(QWEN3VL_8B, output_width=6144), "qwen3vl with qwen3vl_merger"),
        (with_projector(QWEN3VL_8B, projector_type="gemma3"), "qwen3vl with gemma3"),
        (with_projector(MINICPM, layers=26), "qwen3 with resampler"),
        (with_header(QWEN3VL_8B, architecture="gemma3"), "gemma3 with qwen3vl_merger"),
    ],
)
def test_a_model_without_a_formula_is_measured_or_refused(locked: LockedModel, said: str) -> None:
    with pytest.raises(ConfigError, match=f"architecture is '{said}'.* Run `python -m ops lock`"):
        resident(locked, LIKELY_T4)


def test_the_context_is_rounded_up_and_shared_by_slots() -> None:
    def cells(context: int, slots: int, *flags: str) -> tuple[int, float]:
        locked = text_model("x", QWEN3_8B, context=context, parallel_slots=slots, extra_args=flags)
        bytes_of_all = kv_cache_bytes(locked.model, QWEN3_8B)
        return slot_cells(locked.model), bytes_of_all / (144 * 1024)

    assert cells(3072, 1) == (3072, 3072)
    assert cells(3073, 1) == (3328, 3328)
    assert cells(8192, 4) == (2048, 8192)
    assert cells(8192, 4, "--kv-unified") == (8192, 8192)
    assert cells(8192, 4, "--kv-unified", "--no-kv-unified") == (2048, 8192)
    # 3328 in two is 1664, which is rounded up again.
    assert cells(3073, 2) == (1792, 3584)


@pytest.mark.parametrize(
    ("locked", "context", "mib"),
    [
        (text_model("x", QWEN3_8B), 8192, 112.01),
        (text_model("x", QWEN3_8B), 16384, 120.01),
        (text_model("x", QWEN3_4B), 3072, 80.01),
        (QWEN3VL_8B, 3072, 234.83),
        (QWEN3VL_8B, 8192, 239.83),
        (QWEN3VL_4B, 3072, 147.90),
        (QWEN3VL_4B, 8192, 152.90),
    ],
)
def test_a_newer_engine_has_a_larger_compute_buffer(
    locked: LockedModel, context: int, mib: float
) -> None:
    at = changed(locked, context=context)
    assert resident(at, NEWER_T4).compute == pytest.approx(mib, rel=0.001)
    assert resident(at, LIKELY_T4).compute < mib


@pytest.mark.parametrize(
    ("ubatch", "mib"), [("64", 13), ("128", 26), ("256", 52), ("512", 104), ("2048", 416)]
)
def test_the_compute_buffer_is_linear_in_the_micro_batch(ubatch: str, mib: int) -> None:
    found = of(QWEN3_8B, context=8192, extra_args=("-ub", ubatch))
    assert found.compute == pytest.approx(mib, abs=0.01)


def test_a_micro_batch_is_no_larger_than_its_batch() -> None:
    small = of(QWEN3_8B, context=8192, extra_args=("-b", "64"))
    assert small.compute == pytest.approx(13, abs=0.01)


def test_a_projector_in_host_memory_needs_no_vram() -> None:
    off = resident(changed(QWEN3VL_8B, extra_args=("--no-mmproj-offload",)), T4)
    assert (off.projector, off.vision_compute, off.cuda_context) == (0, 0, 192)


def test_a_budget_allows_more_for_cuda_than_is_likely() -> None:
    assert resident(QWEN3VL_8B, T4).cuda_context == 192 + 64
    assert of(QWEN3_8B, T4).cuda_context == 192
    # One layer's keys and values as f16, while a prompt is read.
    assert of(QWEN3_8B, T4, context=16384, **kv("q8_0")).cuda_context == 192 + 64


def test_a_flag_without_a_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'x': extra_args -ub is '0'; expected a whole"):
        of(QWEN3_8B, extra_args=("-ub", "0"))


@pytest.mark.parametrize("locked", [QWEN3VL_8B, QWEN3VL_4B], ids=lambda each: each.model.id)
def test_the_smaller_projector_is_predicted_within_one_per_cent(locked: LockedModel) -> None:
    projector = locked.projector_header
    assert projector is not None
    predicted = as_q8_0(projector).tensor_bytes
    published = PUBLISHED_Q8_0_BYTES[locked.model.id]
    assert predicted == pytest.approx(published, rel=0.01)


def some_model(draw: random.Random) -> tuple[Model, WeightsHeader, ProjectorHeader | None]:
    """A shape that no file has to have."""
    heads = draw.choice((1, 2, 8, 32))
    weights = replace(
        QWEN3_8B,
        layers=draw.randint(1, 80),
        width=64 * draw.randint(1, 128),
        feed_forward=64 * draw.randint(1, 400),
        heads=heads,
        kv_heads=draw.choice((1, heads)),
        key_size=draw.choice((64, 80, 128, 256)),
        value_size=draw.choice((64, 80, 128, 256)),
        deepstack_layers=draw.choice((0, 3)),
        output_tied=draw.random() < 0.5,
    )
    slots = draw.randint(1, 9)
    model = text_model(
        "x",
        weights,
        context=draw.randint(1, 200_000),
        parallel_slots=slots,
        extra_args=draw.choice(((), ("--kv-unified",), ("-ub", str(draw.randint(1, 4096))))),
        **kv(draw.choice(("f16", "q8_0", "q4_0"))),
    ).model
    if draw.random() < 0.5:
        return model, weights, None
    image = draw.randint(8, 5000)
    context = model.context + slots * (image + 1)
    model = replace(model, projector="F16", image_max_tokens=image, context=context)
    projector = QWEN3VL_8B.projector_header
    assert projector is not None
    return model, weights, replace(projector, width=16 * draw.randint(54, 100))


def test_vram_does_not_shrink_with_context() -> None:
    draw = random.Random(6)
    for _ in range(500):
        model, weights, projector = some_model(draw)
        larger = replace(model, context=model.context + draw.randint(1, 5000))
        before = predict(model, weights, projector, LIKELY_T4)
        after = predict(larger, weights, projector, LIKELY_T4)
        assert after.kv_cache >= before.kv_cache
        assert after.compute >= before.compute
        assert after.total_mib >= before.total_mib


def locked_of(
    model: Model, weights: WeightsHeader, projector: ProjectorHeader | None
) -> LockedModel:
    seeing = None if projector is None else file_of(projector, "p")
    return LockedModel(model=model, weights=(file_of(weights, "w"),), projector=seeing)


def test_the_largest_context_fits_and_the_next_one_does_not() -> None:
    draw = random.Random(7)
    seen = 0
    for _ in range(300):
        model, weights, projector = some_model(draw)
        card = Card(product="x", usable_mib=draw.randint(200, 20_000))
        machine = on(card, engine_build=draw.choice((10524, 11434)))
        most = largest_context(locked_of(model, weights, projector), machine)
        if most is None:
            continue
        seen += 1
        fitting = predict(replace(model, context=most), weights, projector, machine)
        assert fitting.total_mib <= card.free_mib
        assert most % 256 == 0
        more = replace(model, context=most + 256)
        trained = weights.train_context * model.parallel_slots
        needed = predict(more, weights, projector, machine).total_mib
        assert (
            needed > card.free_mib or more.context > trained or "--kv-unified" in more.extra_args
        )
    assert seen > 50


@pytest.mark.parametrize("kv_type", ["bf16", "q8_0"])
def test_a_quantised_cache_adds_an_f16_copy_of_one_layer(kv_type: KvCacheType) -> None:
    """One layer of it, while prompts are read."""
    as_f16 = of(QWEN3_8B, context=16384).cuda_context
    for slots in (1, 4):
        taken = of(QWEN3_8B, context=16384, parallel_slots=slots, **kv(kv_type)).cuda_context
        assert taken - as_f16 == 64
