"""A model over several cards: what the lock would keep, against what a real engine loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.vram.engine import loaded_on_cards
from benchmarks.vram.holes import write_holes
from benchmarks.vram.locked import locked_of
from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder
from benchmarks.vram.shapes.gemma import OTHERS
from benchmarks.vram.shapes.qwen import QWEN3VL_4B, qwen3, qwen3vl, qwen3vl_merger
from benchmarks.vram.shapes.shape import Published, Shape
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.vram import Vram, on_cards, passed_on_mib, split_estimate
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from ops.engine.measure import measure
from ops.engine.promised import Promised, promised
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs

MACHINE = Machine(card=Card(product="Tesla-T4"), engine_build=BUILD)
SMALL = Decoder(
    layers=7, width=256, feed_forward=768, heads=8, kv_heads=2, head_size=64, vocabulary=2048
)
TOWER = Encoder(
    layers=4, width=832, feed_forward=2496, heads=13, output_width=256, patch_px=16, image_px=768
)
SPLITS: dict[str, tuple[Shape, Shape | None, dict[str, Any]]] = {
    "text": (qwen3(SMALL), None, {}),
    "vision": (qwen3vl(SMALL), qwen3vl_merger(TOWER), {}),
    "deepstack": (
        qwen3vl(SMALL, deepstack=3), qwen3vl_merger(TOWER, deepstack=(0, 1, 2)), {},
    ),
    "three cards": (qwen3(replace(SMALL, layers=12)), None, {"cards": (0, 1, 2)}),
    "shares": (qwen3(SMALL), None, {"tensor_split": (3, 1)}),
    "tied": (qwen3(replace(SMALL, tied=True)), None, {}),
    "large vocabulary": (qwen3(replace(SMALL, vocabulary=65536)), None, {}),
    "4 slots": (qwen3(SMALL), None, {"parallel_slots": 4, "context": 8192}),
    "micro-batch": (qwen3(SMALL), None, {"extra_args": ("-ub", "256")}),
}  # fmt: skip


@pytest.fixture(scope="session")
def programs() -> Path:
    return rpc_programs(print)


def split(folder: Path, text: Shape, tower: Shape | None, **fields: Any) -> LockedModel:
    write_holes(folder / "model.gguf", text, "F16")
    vision: dict[str, Any] = {"projector": None, "image_max_tokens": None}
    if tower is not None:
        write_holes(folder / "mmproj.gguf", tower, "F16")
        vision = {"projector": "F16", "image_max_tokens": 1024}
    base = {"context": 4096, "cards": (0, 1), **vision}
    return locked_of(
        Model(id="x", repository="owner/name", quantisation="F16", **(base | fields)), folder
    )


@pytest.mark.parametrize(("text", "tower", "fields"), SPLITS.values(), ids=SPLITS)
def test_the_figures_of_each_card_are_those_of_the_loaded_model(
    text: Shape, tower: Shape | None, fields: dict[str, Any], programs: Path, tmp_path: Path
) -> None:
    locked = split(tmp_path, text, tower, **fields)
    measured = measure(locked, tmp_path, programs=programs, engine_build=BUILD)
    found = on_cards(replace(locked, memory=(measured,)), MACHINE)
    loaded = loaded_on_cards(programs, locked.model, tmp_path)
    spread = passed_on_mib(locked.model, locked.weights_header)
    assert list(found) == list(locked.model.cards)
    for vram, real in zip(found.values(), loaded, strict=True):
        assert vram.source == "engine"
        assert vram.weights == pytest.approx(real.weights, abs=0.011)
        assert vram.kv_cache == pytest.approx(real.kv_cache, abs=0.011)
        assert real.compute - 0.011 <= vram.compute <= real.compute + 2 * spread
        assert vram.projector == pytest.approx(real.projector, abs=0.011)
        assert vram.vision_compute == pytest.approx(real.vision_compute, abs=0.011)


@pytest.mark.parametrize(("published", "cards"), [(QWEN3VL_4B, (0, 1, 2)), (OTHERS[0], (1, 0))])
def test_a_split_is_estimated_from_one_card(
    published: Published, cards: tuple[int, ...], programs: Path, tmp_path: Path
) -> None:
    write_holes(tmp_path / "model.gguf", published.text, "Q4_K_M")
    write_holes(tmp_path / "mmproj.gguf", published.tower, "F16")
    model = Model(id="x", repository="owner/name", quantisation="Q4_K_M", context=8192)
    locked = locked_of(replace(model, cards=cards), tmp_path)

    def vram(said: Promised) -> Vram:
        return Vram(
            weights=said.weights or 0,
            kv_cache=said.kv_cache,
            compute=said.compute,
            projector=said.projector,
            vision_compute=0,
            cuda_context=256,
        )

    (whole,) = promised(programs, model, tmp_path, "model.gguf")
    estimated = split_estimate(locked, vram(whole), MACHINE)
    for card, said in zip(
        cards, promised(programs, locked.model, tmp_path, "model.gguf"), strict=True
    ):
        assert 0.98 < estimated[card].total_mib / vram(said).total_mib < 1.25
