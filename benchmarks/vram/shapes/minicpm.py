"""MiniCPM-V 4.5 and 4: a resampler turns each slice of an image into 64 tokens."""

from __future__ import annotations

from dataclasses import replace

from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder, blocks, encoder, patches, positions
from benchmarks.vram.shapes.llama import llama
from benchmarks.vram.shapes.qwen import qwen3
from benchmarks.vram.shapes.shape import (
    Keys,
    Published,
    Shape,
    Tensor,
    Tensors,
    linear,
    matrix,
    norm,
)

_TOKENS = 64
"""Of a slice."""
_TABLE = 70**2
"""Positions of its tables: those of a picture of up to 980 px a side."""


def resampler(numbers: Encoder, *, version: int) -> Shape:
    """Return the tower; `version` is that of the family in its converter."""
    width, output = numbers.width, numbers.output_width

    def tensors() -> Tensors:
        yield from patches(numbers)
        yield from positions(_TABLE, width, kind=Kind.F16)
        yield from blocks(numbers)
        yield from norm("v.post_ln", width)
        yield Tensor("resampler.pos_embed_k", (_TABLE, output), Kind.F32)
        yield Tensor("resampler.query", (_TOKENS, output), Kind.F32)
        yield from matrix("resampler.proj", output, output)
        yield from matrix("resampler.kv", output, width)
        for name in ("q", "k", "v", "out"):
            yield from linear(f"resampler.attn.{name}", output, output)
        for name in ("q", "kv", "post"):
            yield from norm(f"resampler.ln_{name}", output)

    keys: Keys = {
        "use_gelu": True,
        "minicpmv_version": version,
        "minicpmv_query_num": _TOKENS,
        # As its converter writes it.
        "vision.projection_dim": 0,
    }
    return encoder("resampler", numbers, tensors(), keys=keys, signed="minicpmv_version")


_4_5 = Decoder(
    layers=36, width=4096, feed_forward=12288, heads=32, kv_heads=8, head_size=128,
    vocabulary=151748, context=40960,
)  # fmt: skip
_4 = Decoder(
    layers=32, width=2560, feed_forward=10240, heads=32, kv_heads=2, head_size=128,
    vocabulary=73448, context=32768,
)  # fmt: skip
_TOWER = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=4096, patch_px=14,
    image_px=448,
)  # fmt: skip
MINICPM_V_4_5 = Published(
    name="minicpm-v-4-5",
    source="openbmb/MiniCPM-V-4_5, config.json",
    text=qwen3(_4_5),
    tower=resampler(_TOWER, version=6),
)
OTHERS = (
    Published(
        name="minicpm-v-4",
        source="openbmb/MiniCPM-V-4, config.json",
        text=llama(_4),
        tower=resampler(replace(_TOWER, output_width=2560), version=5),
    ),
)
