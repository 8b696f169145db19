"""The VRAM prediction against the real llama-server, which logs each buffer it reserves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.vram.engine import Reserved, Stage, reserved
from benchmarks.vram.holes import write_holes
from benchmarks.vram.predict import predicted
from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder
from benchmarks.vram.shapes.file_types import FileType
from benchmarks.vram.shapes.published import WITH_FORMULA
from benchmarks.vram.shapes.qwen import (
    QWEN3_4B,
    QWEN3_8B,
    qwen3,
    qwen3vl,
    qwen3vl_merger,
)
from benchmarks.vram.shapes.shape import Published, Shape
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import Role
from llama_swap_config.model import KvCacheType, Model
from ops.gguf.header import read_file_header
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs
from tests.declaration.frozen import DECLARATION

_SMALL = Decoder(
    layers=4, width=256, feed_forward=768, heads=8, kv_heads=2, head_size=64, vocabulary=2048
)
_TOWER = Encoder(
    layers=4, width=832, feed_forward=2496, heads=13, output_width=256, patch_px=16, image_px=768
)
_LARGE_TOWER = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=4096, patch_px=16,
    image_px=768,
)  # fmt: skip
_SMALL_TOWER = replace(_LARGE_TOWER, layers=24, width=1024, feed_forward=4096, output_width=2560)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file of a language model."""

    shape: Shape
    file_type: FileType = "F16"

    def write(self, folder: Path) -> None:
        write_holes(folder / "model.gguf", self.shape, self.file_type)


def _small(**numbers: Any) -> Text:
    return Text(shape=qwen3(replace(_SMALL, **numbers)))


SHAPES = {
    "as it is": _small(),
    "two layers": _small(layers=2),
    "many layers": _small(layers=24),
    "wide": _small(width=768, feed_forward=2304, heads=12),
    "odd numbers": _small(width=320, feed_forward=992, heads=5, kv_heads=5, head_size=32),
    "wide feed-forward": _small(feed_forward=2048),
    "more queries than width": _small(heads=16),
    "one head of keys": _small(kv_heads=1, head_size=128),
    "keys as many as queries": _small(kv_heads=8),
    "large vocabulary": _small(vocabulary=65536),
    "tied": _small(tied=True),
    "Q8_0": replace(_small(), file_type="Q8_0"),
    "F32": replace(_small(), file_type="F32"),
    "mixed as Q4_K_M": replace(_small(layers=9), file_type="Q4_K_M"),
    "mixed as Q4_K_M, tied": replace(_small(layers=9, tied=True), file_type="Q4_K_M"),
    "takes pictures": Text(shape=qwen3vl(_SMALL)),
    "takes deepstack features": Text(shape=qwen3vl(_SMALL, deepstack=3)),
    "deepstack, as in a 4B": Text(
        shape=qwen3vl(replace(_SMALL, width=320, feed_forward=1216), deepstack=3)
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

LOADED_TOWERS: dict[str, tuple[Encoder, tuple[int, ...], FileType, int]] = {
    "as it is, 1024 tokens": (_TOWER, (), "F16", 1024),
    "as it is, more than the warm-up": (_TOWER, (), "F16", 2116),
    "few tokens": (_TOWER, (), "F16", 64),
    "deepstack, Q8_0": (replace(_TOWER, layers=8), (1, 3, 5), "Q8_0", 256),
}
_PUBLISHED = {published.name: published for published in WITH_FORMULA}
PROMISED_TOWERS: dict[str, tuple[Shape, FileType]] = {
    **{name: (published.tower, "F16") for name, published in _PUBLISHED.items()},
    "qwen3vl-8b in Q8_0": (_PUBLISHED["qwen3vl-8b"].tower, "Q8_0"),
    "qwen3vl-2b": (
        qwen3vl_merger(replace(_SMALL_TOWER, output_width=2048), deepstack=(5, 11, 17)), "F16",
    ),
    "qwen3vl-32b": (
        qwen3vl_merger(replace(_LARGE_TOWER, output_width=5120), deepstack=(8, 16, 24)), "F16",
    ),
    "no deepstack": (qwen3vl_merger(_LARGE_TOWER), "F16"),
    "one of deepstack": (qwen3vl_merger(_LARGE_TOWER, deepstack=(8,)), "F16"),
    "wide feed-forward": (
        qwen3vl_merger(replace(_LARGE_TOWER, feed_forward=8192), deepstack=(8, 16, 24)), "F16",
    ),
    "wide": (
        qwen3vl_merger(
            replace(_LARGE_TOWER, layers=32, width=1280, feed_forward=5120, output_width=3584),
            deepstack=(7, 15, 23),
        ),
        "F16",
    ),
}  # fmt: skip

BEYOND: dict[str, tuple[Shape, Shape | None]] = {
    "one layer": (qwen3(replace(_SMALL, layers=1)), None),
    "narrow feed-forward": (qwen3(replace(_SMALL, feed_forward=256)), None),
    "one deepstack layer": (qwen3vl(_SMALL, deepstack=1), None),
    "two, wide feed-forward": (
        qwen3vl(replace(_SMALL, feed_forward=2048), deepstack=2), None,
    ),
    "three, wider feed-forward": (
        qwen3vl(replace(_SMALL, feed_forward=1536), deepstack=3), None,
    ),
    "narrow tower": (
        qwen3vl(_SMALL), qwen3vl_merger(replace(_TOWER, width=512, feed_forward=2048, heads=8)),
    ),
    "deepstack layers in a row": (
        qwen3vl(_SMALL, deepstack=3), qwen3vl_merger(_TOWER, deepstack=(0, 1, 2)),
    ),
}  # fmt: skip
"""Shapes outside the formula's range; None: no projector."""


@pytest.fixture(scope="session")
def programs() -> Path:
    return rpc_programs(print)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    _small().write(folder)
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


def write(folder: Path, text: Shape, tower: Shape | None, tower_type: FileType = "F16") -> None:
    write_holes(folder / "model.gguf", text, "F16")
    if tower is not None:
        write_holes(folder / "mmproj.gguf", tower, tower_type)


@pytest.mark.parametrize("published", WITH_FORMULA, ids=_PUBLISHED)
def test_the_files_without_data_are_as_large_as_the_published(
    published: Published, tmp_path: Path
) -> None:
    write_holes(tmp_path / "model.gguf", published.text, "Q4_K_M")
    write_holes(tmp_path / "mmproj.gguf", published.tower, "F16")
    locked = {locked.model.id: locked for locked in DECLARATION.locked}[published.name]
    headers: dict[Role, WeightsHeader | ProjectorHeader | None] = {
        "model": locked.weights_header,
        "mmproj": locked.projector_header,
    }
    for role, header in headers.items():
        path = tmp_path / f"{role}.gguf"
        assert header is not None
        assert read_file_header(path, role).tensor_bytes == header.tensor_bytes
        assert path.stat().st_blocks * 512 < 2**23


@pytest.mark.parametrize("written", SHAPES.values(), ids=SHAPES)
def test_prediction_matches_for_a_shape(written: Text, programs: Path, tmp_path: Path) -> None:
    written.write(tmp_path)
    check(programs, text(), tmp_path)


@pytest.mark.parametrize("fields", SETTINGS.values(), ids=SETTINGS)
def test_prediction_matches_for_a_setting(
    fields: dict[str, Any], programs: Path, small: Path
) -> None:
    check(programs, text(**fields), small)


@pytest.mark.parametrize(
    ("tower", "deepstack", "tower_type", "tokens"), LOADED_TOWERS.values(), ids=LOADED_TOWERS
)
def test_prediction_matches_for_a_projector(
    tower: Encoder,
    deepstack: tuple[int, ...],
    tower_type: FileType,
    tokens: int,
    programs: Path,
    tmp_path: Path,
) -> None:
    shape = qwen3vl(_SMALL, deepstack=len(deepstack))
    write(tmp_path, shape, qwen3vl_merger(tower, deepstack=deepstack), tower_type)
    check(programs, looks(tokens), tmp_path)


def test_a_minimum_of_tokens_takes_no_memory(programs: Path, tmp_path: Path) -> None:
    write(tmp_path, qwen3vl(_SMALL), qwen3vl_merger(_TOWER))
    check(programs, looks(1024, image_min_tokens=1024), tmp_path)


@pytest.mark.parametrize(("tower", "tower_type"), PROMISED_TOWERS.values(), ids=PROMISED_TOWERS)
def test_prediction_matches_for_a_real_projector(
    tower: Shape, tower_type: FileType, programs: Path, tmp_path: Path
) -> None:
    write(tmp_path, qwen3vl(_SMALL), tower, tower_type)
    check(programs, looks(1024), tmp_path, stage="promised")


REAL = {name: published.text for name, published in _PUBLISHED.items()}
REAL |= {"qwen3-8b": QWEN3_8B, "qwen3-4b": QWEN3_4B}


@pytest.mark.parametrize("name", REAL)
def test_prediction_matches_for_a_real_model(name: str, programs: Path, tmp_path: Path) -> None:
    write_holes(tmp_path / "model.gguf", REAL[name], "Q4_K_M")
    logged = check(programs, text(context=8192), tmp_path, stage="promised")
    # What published CUDA logs say of an 8B and a 4B.
    assert name == "minicpm-v-4-5" or logged.weights == (2375.91 if "4b" in name else 4455.34)
    assert logged.kv_cache == 1152


@pytest.mark.parametrize(("shape", "tower"), BEYOND.values(), ids=BEYOND)
def test_prediction_is_an_upper_bound_for_other_shapes(
    shape: Shape, tower: Shape | None, programs: Path, tmp_path: Path
) -> None:
    write(tmp_path, shape, tower)
    model = text() if tower is None else looks(1024)
    logged = reserved(programs, model, tmp_path)
    ours = predicted(model, tmp_path, BUILD)
    assert (ours.weights, ours.kv_cache) == pytest.approx(
        (logged.weights, logged.kv_cache), abs=0.0051
    )
    assert ours.compute >= 0.99 * logged.compute
    assert ours.vision_compute >= 0.99 * logged.vision_compute


def test_promised_memory_equals_loaded_memory(programs: Path, tmp_path: Path) -> None:
    write(tmp_path, qwen3vl(_SMALL), qwen3vl_merger(_TOWER))
    loaded = reserved(programs, looks(1024), tmp_path)
    promised = reserved(programs, looks(1024), tmp_path, stage="promised")
    assert promised.total_mib == pytest.approx(loaded.total_mib, abs=0.05)
