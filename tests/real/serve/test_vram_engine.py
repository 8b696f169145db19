"""The VRAM prediction against the real llama-server, which logs each buffer it reserves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.cases import RESAMPLER, TEXTS, TOWERS
from benchmarks.vram.engine import Reserved, Stage, reserved
from benchmarks.vram.predict import predicted
from benchmarks.vram.texts import TextShape, write_text
from benchmarks.vram.towers import ResamplerShape, TowerShape, write_tower
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import Role
from llama_swap_config.model import KvCacheType, Model
from ops.gguf.header import read_file_header
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs
from tests.declaration.frozen import DECLARATION

_SMALL = TextShape(
    layers=4, width=256, feed_forward=768, heads=8, kv_heads=2, head_size=64, vocabulary=2048
)
_TOWER = TowerShape(layers=4, width=832, feed_forward=2496, heads=13, output_width=256)

SHAPES = {
    "as it is": _SMALL,
    "two layers": replace(_SMALL, layers=2),
    "many layers": replace(_SMALL, layers=24),
    "wide": replace(_SMALL, width=768, feed_forward=2304, heads=12),
    "odd numbers": replace(_SMALL, width=320, feed_forward=992, heads=5, kv_heads=5, head_size=32),
    "wide feed-forward": replace(_SMALL, feed_forward=2048),
    "more queries than width": replace(_SMALL, heads=16),
    "one head of keys": replace(_SMALL, kv_heads=1, head_size=128),
    "keys as many as queries": replace(_SMALL, kv_heads=8),
    "large vocabulary": replace(_SMALL, vocabulary=65536),
    "tied": replace(_SMALL, tied=True),
    "Q8_0": replace(_SMALL, kind=Kind.Q8_0),
    "F32": replace(_SMALL, kind=Kind.F32),
    "mixed as Q4_K_M": replace(_SMALL, layers=9, kind=None),
    "mixed as Q4_K_M, tied": replace(_SMALL, layers=9, kind=None, tied=True),
    "takes pictures": replace(_SMALL, vision=True),
    "takes deepstack features": replace(_SMALL, vision=True, deepstack=3),
    "deepstack, as in a 4B": replace(
        _SMALL, width=320, feed_forward=1216, vision=True, deepstack=3
    ),
}


def _kv(kind: KvCacheType) -> dict[str, Any]:
    return {"kv_cache_type_k": kind, "kv_cache_type_v": kind}


def _ub(tokens: int) -> dict[str, Any]:
    return {"extra_args": ("-ub", str(tokens)), "context": 8192}


SETTINGS: dict[str, dict[str, Any]] = {
    "a context of 100": {"context": 100},
    "a context of 300": {"context": 300},
    "a context of 16384": {"context": 16384},
    "a context of 65536": {"context": 65536},
    "2 slots": {"context": 4096, "parallel_slots": 2},
    "3 slots that do not divide": {"context": 1000, "parallel_slots": 3},
    "8 slots": {"context": 16384, "parallel_slots": 8},
    "4 slots, unified": {
        "context": 4096, "parallel_slots": 4, "extra_args": ("--kv-unified",),
    },
    "bf16 cache": _kv("bf16"),
    "q8_0 cache": _kv("q8_0"),
    "q4_0 cache": _kv("q4_0"),
    "q8_0 cache, 4 slots": _kv("q8_0") | {"context": 8192, "parallel_slots": 4},
    "micro-batch of 64": _ub(64),
    "micro-batch of 256": _ub(256),
    "micro-batch of 1024": _ub(1024),
    "micro-batch of 2048": _ub(2048),
    "batch smaller than the micro-batch": {"extra_args": ("-b", "128")},
}  # fmt: skip

LOADED_TOWERS = {
    "as it is, 1024 tokens": (_TOWER, 1024),
    "as it is, more than the warm-up": (_TOWER, 2116),
    "few tokens": (_TOWER, 64),
    "deepstack, Q8_0": (
        replace(_TOWER, layers=8, deepstack=(1, 3, 5), kind=Kind.Q8_0),
        256,
    ),
}
PROMISED_TOWERS: dict[str, TowerShape | ResamplerShape] = {
    **TOWERS,
    "minicpm-v-4-5": RESAMPLER,
    "qwen3vl-8b in Q8_0": replace(TOWERS["qwen3vl-8b"], kind=Kind.Q8_0),
    "qwen3vl-2b": replace(TOWERS["qwen3vl-4b"], output_width=2048),
    "qwen3vl-32b": replace(TOWERS["qwen3vl-8b"], output_width=5120),
    "no deepstack": replace(TOWERS["qwen3vl-8b"], deepstack=()),
    "one of deepstack": replace(TOWERS["qwen3vl-8b"], deepstack=(8,)),
    "wide feed-forward": replace(TOWERS["qwen3vl-8b"], feed_forward=8192),
    "wide": TowerShape(
        layers=32, width=1280, feed_forward=5120, heads=16, output_width=3584,
        deepstack=(7, 15, 23),
    ),
}  # fmt: skip

BEYOND = {
    "one layer": (replace(_SMALL, layers=1), None),
    "narrow feed-forward": (replace(_SMALL, feed_forward=256), None),
    "one deepstack layer": (replace(_SMALL, vision=True, deepstack=1), None),
    "two, wide feed-forward": (
        replace(_SMALL, feed_forward=2048, vision=True, deepstack=2), None,
    ),
    "three, wider feed-forward": (
        replace(_SMALL, feed_forward=1536, vision=True, deepstack=3), None,
    ),
    "narrow tower": (
        replace(_SMALL, vision=True), replace(_TOWER, width=512, feed_forward=2048, heads=8),
    ),
    "deepstack layers in a row": (
        replace(_SMALL, vision=True, deepstack=3), replace(_TOWER, deepstack=(0, 1, 2)),
    ),
}  # fmt: skip
"""Shapes outside the formula's range; None: no projector."""


@pytest.fixture(scope="session")
def programs() -> Path:
    return rpc_programs(print)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_text(folder / "model.gguf", _SMALL)
    return folder


def text(**fields: Any) -> Model:
    base = {"projector": None, "image_max_tokens": None, "context": 4096}
    return Model(id="x", repository="owner/name", quantisation="F16", **(base | fields))


def looks(image_max_tokens: int, **fields: Any) -> Model:
    return text(projector="F16", image_max_tokens=image_max_tokens, **fields)


def check(programs: Path, model: Model, folder: Path, *, stage: Stage = "loaded") -> Reserved:
    """Compare each term; llama-server rounds its log to 0.01 MiB."""
    logged = reserved(programs, model, folder, stage=stage)
    ours = predicted(model, folder, BUILD)
    assert ours.weights == pytest.approx(logged.weights, abs=0.0051)
    assert ours.kv_cache == pytest.approx(logged.kv_cache, abs=0.0051)
    assert ours.projector == pytest.approx(logged.projector, abs=0.0051)
    assert ours.compute == pytest.approx(logged.compute, rel=0.02, abs=0.1)
    assert ours.vision_compute == pytest.approx(logged.vision_compute, rel=0.02, abs=0.1)
    return logged


@pytest.mark.parametrize("name", ["qwen3vl-8b", "qwen3vl-4b", "minicpm-v-4-5"])
def test_the_files_without_data_are_as_large_as_the_published(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / "model.gguf", TEXTS[name])
    write_tower(tmp_path / "mmproj.gguf", TOWERS.get(name, RESAMPLER))
    locked = {locked.model.id: locked for locked in DECLARATION.locked}[name]
    headers: dict[Role, WeightsHeader | ProjectorHeader | None] = {
        "model": locked.weights_header,
        "mmproj": locked.projector_header,
    }
    for role, header in headers.items():
        path = tmp_path / f"{role}.gguf"
        assert header is not None
        assert read_file_header(path, role).tensor_bytes == header.tensor_bytes
        assert path.stat().st_blocks * 512 < 2**23


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prediction_matches_for_a_shape(shape: TextShape, programs: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "model.gguf", shape)
    check(programs, text(), tmp_path)


@pytest.mark.parametrize("fields", SETTINGS.values(), ids=SETTINGS)
def test_prediction_matches_for_a_setting(
    fields: dict[str, Any], programs: Path, small: Path
) -> None:
    check(programs, text(**fields), small)


@pytest.mark.parametrize(("tower", "tokens"), LOADED_TOWERS.values(), ids=LOADED_TOWERS)
def test_prediction_matches_for_a_projector(
    tower: TowerShape, tokens: int, programs: Path, tmp_path: Path
) -> None:
    shape = replace(_SMALL, vision=True, deepstack=len(tower.deepstack))
    write_text(tmp_path / "model.gguf", shape)
    write_tower(tmp_path / "mmproj.gguf", tower)
    check(programs, looks(tokens), tmp_path)


def test_a_minimum_of_tokens_takes_no_memory(programs: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "model.gguf", replace(_SMALL, vision=True))
    write_tower(tmp_path / "mmproj.gguf", _TOWER)
    check(programs, looks(1024, image_min_tokens=1024), tmp_path)


@pytest.mark.parametrize("tower", PROMISED_TOWERS.values(), ids=PROMISED_TOWERS)
def test_prediction_matches_for_a_real_projector(
    tower: TowerShape | ResamplerShape, programs: Path, tmp_path: Path
) -> None:
    write_text(tmp_path / "model.gguf", replace(_SMALL, vision=True))
    write_tower(tmp_path / "mmproj.gguf", tower)
    check(programs, looks(1024), tmp_path, stage="promised")


@pytest.mark.parametrize("name", TEXTS)
def test_prediction_matches_for_a_real_model(name: str, programs: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "model.gguf", TEXTS[name])
    logged = check(programs, text(context=8192), tmp_path, stage="promised")
    # What published CUDA logs say of an 8B and a 4B.
    assert name == "minicpm-v-4-5" or logged.weights == (2375.91 if "4b" in name else 4455.34)
    assert logged.kv_cache == 1152


@pytest.mark.parametrize(("shape", "tower"), BEYOND.values(), ids=BEYOND)
def test_prediction_is_an_upper_bound_for_other_shapes(
    shape: TextShape, tower: TowerShape | None, programs: Path, tmp_path: Path
) -> None:
    write_text(tmp_path / "model.gguf", shape)
    if tower is not None:
        write_tower(tmp_path / "mmproj.gguf", tower)
    model = text() if tower is None else looks(1024)
    logged = reserved(programs, model, tmp_path)
    ours = predicted(model, tmp_path, BUILD)
    assert (ours.weights, ours.kv_cache) == pytest.approx(
        (logged.weights, logged.kv_cache), abs=0.0051
    )
    assert ours.compute >= 0.99 * logged.compute
    assert ours.vision_compute >= 0.99 * logged.vision_compute


def test_promised_memory_equals_loaded_memory(programs: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "model.gguf", replace(_SMALL, vision=True))
    write_tower(tmp_path / "mmproj.gguf", _TOWER)
    loaded = reserved(programs, looks(1024), tmp_path)
    promised = reserved(programs, looks(1024), tmp_path, stage="promised")
    assert promised.total_mib == pytest.approx(loaded.total_mib, abs=0.05)
