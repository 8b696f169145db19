"""Pixtral 12B and Mistral Small 3.2, whose tower takes images of any size."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder, blocks, encoder, patches
from benchmarks.vram.shapes.llama import llama
from benchmarks.vram.shapes.shape import (
    Keys,
    Published,
    Shape,
    Tensor,
    Tensors,
    linear,
    matrix,
    scale,
)


def pixtral(numbers: Encoder, *, merge: int = 1) -> Shape:
    """Return the tower.

    Args:
        numbers: Its numbers.
        merge: Patches on each side of one token (default: 1, each patch is one).
    """
    width, output = numbers.width, numbers.output_width
    project = linear if merge == 1 else matrix

    def tensors() -> Tensors:
        yield from patches(numbers, bias=False)
        yield from scale("v.pre_ln", width)
        yield from blocks(numbers, bias=False, gate=True, layer_norm=False)
        if merge > 1:
            yield from scale("mm.input_norm", width)
            yield from matrix("mm.patch_merger", width, width * merge**2)
        yield from project("mm.1", output, width)
        yield from project("mm.2", output, output)
        yield Tensor("v.token_embd.img_break", (output,))

    keys: Keys = {"use_silu": True, "vision.spatial_merge_size": merge}
    return encoder("pixtral", numbers, tensors(), keys=keys)


_12B = Decoder(
    layers=40, width=5120, feed_forward=14336, heads=32, kv_heads=8, head_size=128,
    vocabulary=131072,
)  # fmt: skip
_24B = replace(_12B, feed_forward=32768)
_TOWER_12B = Encoder(
    layers=24, width=1024, feed_forward=4096, heads=16, output_width=5120, patch_px=16,
    image_px=1024,
)  # fmt: skip
_TOWER_24B = replace(_TOWER_12B, patch_px=14, image_px=1540)
OTHERS = (
    Published(
        name="pixtral-12b",
        source="mistral-community/pixtral-12b, config.json",
        text=llama(_12B),
        tower=pixtral(_TOWER_12B),
    ),
    Published(
        name="mistral-small-3-2-24b",
        source="mistralai/Mistral-Small-3.2-24B-Instruct-2506, config.json",
        text=llama(_24B, architecture="mistral3"),
        tower=pixtral(_TOWER_24B, merge=2),
    ),
)
