"""Small models of many architectures with random weights: llama-server answers about a picture.

They have the keys and tensors of published models, in small numbers. Their answers mean nothing.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np

from benchmarks.vram.holes import header_of
from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder
from benchmarks.vram.shapes.gemma import (
    Wide,
    gemma3,
    gemma3_projector,
    gemma4,
    gemma4_embedder,
    gemma4_projector,
)
from benchmarks.vram.shapes.glm import glm4, glm4v
from benchmarks.vram.shapes.granite import granite
from benchmarks.vram.shapes.internvl import internvl
from benchmarks.vram.shapes.kimi import Latent, deepseek2, kimivl
from benchmarks.vram.shapes.lfm import lfm2, lfm2_projector
from benchmarks.vram.shapes.llama import idefics3, llama, llama4, llama4_projector, mlp
from benchmarks.vram.shapes.minicpm import resampler
from benchmarks.vram.shapes.mistral import pixtral
from benchmarks.vram.shapes.qwen import (
    qwen2,
    qwen2vl,
    qwen3,
    qwen3vl,
    qwen3vl_merger,
    qwen3vlmoe,
    qwen25vl_merger,
    qwen35,
)
from benchmarks.vram.shapes.shape import Shape, Tensor

_TEXT = Decoder(
    layers=2, width=128, feed_forward=256, heads=4, kv_heads=2, head_size=32, vocabulary=512,
    context=4096,
)  # fmt: skip
_TOWER = Encoder(
    layers=2, width=64, feed_forward=128, heads=2, output_width=128, patch_px=14, image_px=112
)
_GRID = ((112, 224), (224, 112), (224, 224))
TINY: dict[str, tuple[Shape, Shape]] = {
    "gemma3": (
        gemma3(replace(_TEXT, layers=7, tied=True), window=64), gemma3_projector(_TOWER),
    ),
    "gemma4": (
        gemma4(
            replace(_TEXT, layers=12, tied=True),
            Wide(
                head_size=64, kv_heads=1, values=True, window=64, shared_layers=6, layer_width=32
            ),
        ),
        gemma4_projector(_TOWER, standardised=False),
    ),
    "gemma4, no tower": (
        gemma4(
            replace(_TEXT, layers=6, tied=True),
            Wide(head_size=64, kv_heads=1, values=False, window=64),
        ),
        gemma4_embedder(
            replace(_TOWER, layers=0, width=128, feed_forward=0, heads=0, patch_px=16)
        ),
    ),
    "gemma4, a mixture": (
        gemma4(
            replace(_TEXT, layers=6, tied=True),
            Wide(
                head_size=64, kv_heads=1, values=False, window=64, experts=4, experts_used=2,
                expert_feed_forward=64,
            ),
        ),
        gemma4_projector(_TOWER, standardised=True),
    ),
    "qwen2vl": (qwen2vl(_TEXT), qwen25vl_merger(_TOWER, full_attention_every=2)),
    "qwen3vl": (qwen3vl(_TEXT, deepstack=1), qwen3vl_merger(_TOWER, deepstack=(0,))),
    "qwen3vlmoe": (
        qwen3vlmoe(_TEXT, count=4, used=2, deepstack=1), qwen3vl_merger(_TOWER, deepstack=(0,)),
    ),
    "qwen35": (
        qwen35(
            replace(_TEXT, layers=4, head_size=64), state=32, key_heads=2, value_heads=4
        ),
        qwen3vl_merger(_TOWER),
    ),
    "qwen3": (qwen3(_TEXT), resampler(_TOWER, version=6)),
    "llama, mlp": (
        llama(_TEXT), mlp(_TOWER, features=(2,), grid=_GRID, class_token=True),
    ),
    "llama, idefics3": (llama(_TEXT), idefics3(_TOWER, merge=2, longest_px=224)),
    "llama4": (
        llama4(replace(_TEXT, layers=4), count=16, used=1, inner=64),
        llama4_projector(_TOWER, adapter=96),
    ),
    "llama, pixtral": (llama(_TEXT), pixtral(_TOWER)),
    "mistral3": (llama(_TEXT, architecture="mistral3"), pixtral(_TOWER, merge=2)),
    "qwen2": (qwen2(_TEXT), internvl(_TOWER)),
    "glm4": (glm4(_TEXT), glm4v(_TOWER)),
    "granite": (
        granite(replace(_TEXT, tied=True)),
        mlp(_TOWER, features=(1, 2), grid=_GRID, class_token=False),
    ),
    "deepseek2": (
        # With other numbers of layers, llama.cpp wants a low rank of the queries too.
        deepseek2(
            replace(_TEXT, layers=26),
            Latent(
                rank=64, rotated=32, plain=32, value=32, experts=4, used=2, shared=1, inner=64
            ),
        ),
        kimivl(_TOWER),
    ),
    "lfm2": (
        lfm2(replace(_TEXT, layers=4, tied=True), attends=(1, 3)),
        lfm2_projector(replace(_TOWER, patch_px=16), inner=96),
    ),
}  # fmt: skip
"""A language model and its projector, by the architecture."""


def write_random(path: Path, shape: Shape) -> None:
    """Write a file whose weights are random, and the same each time."""
    writer = header_of(path, shape)
    random = np.random.default_rng(zlib.crc32(shape.architecture.encode()))
    for tensor in shape.tensors:
        writer.add_tensor(tensor.name, _values(tensor, random))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _values(tensor: Tensor, random: np.random.Generator) -> np.ndarray:
    name, rows, _ = tensor
    if len(rows) > 1:
        values = random.standard_normal(rows) * 2 / sqrt(rows[-1])
    elif name.endswith("ssm_a"):
        # A positive one lets the state grow without bound.
        values = np.full(rows, -1.0)
    elif name.endswith((".bias", "_bias")):
        values = np.zeros(rows)
    else:
        values = np.ones(rows)
    return values.astype(np.float32)
