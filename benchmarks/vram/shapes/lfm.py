"""LFM2-VL: most layers are short convolutions, which have no cache of keys and values."""

from __future__ import annotations

from benchmarks.vram.shapes.decoder import Decoder, attention, decoder, gated
from benchmarks.vram.shapes.encoder import Encoder, blocks, encoder, patches, positions
from benchmarks.vram.shapes.shape import (
    Keys,
    Published,
    Shape,
    Tensor,
    Tensors,
    linear,
    matrix,
    norm,
    scale,
)

_KERNEL = 3


def lfm2(numbers: Decoder, *, attends: tuple[int, ...]) -> Shape:
    """Return a language model.

    Args:
        numbers: Its numbers.
        attends: Its layers of attention, from 0.
    """
    width = numbers.width

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        if index in attends:
            yield from attention(block, numbers, head_norms=True)
        else:
            yield from scale(f"{block}attn_norm", width)
            yield Tensor(f"{block}shortconv.conv.weight", (width, _KERNEL))
            yield from matrix(f"{block}shortconv.in_proj", 3 * width, width)
            yield from matrix(f"{block}shortconv.out_proj", width, width)
        yield from gated(block, width, numbers.feed_forward)

    kv_heads = (numbers.kv_heads if index in attends else 0 for index in range(numbers.layers))
    keys: Keys = {
        "attention.head_count_kv": tuple(kv_heads),
        "shortconv.l_cache": _KERNEL,
        "vocab_size": numbers.vocabulary,
    }
    return decoder("lfm2", numbers, layer, keys=keys, output_norm="token_embd_norm")


def lfm2_projector(numbers: Encoder, *, inner: int, merge: int = 2) -> Shape:
    """Return the tower.

    Args:
        numbers: Its numbers.
        inner: Elements within the part that merges patches to tokens.
        merge: Patches on each side of one token (default: 2).
    """
    merged = numbers.width * merge**2

    def tensors() -> Tensors:
        yield from patches(numbers)
        yield from positions(numbers.positions, numbers.width)
        yield from blocks(numbers)
        yield from norm("v.post_ln", numbers.width)
        yield from norm("mm.input_norm", merged)
        yield from linear("mm.1", inner, merged)
        yield from linear("mm.2", numbers.output_width, inner)

    keys: Keys = {"use_gelu": True, "vision.projector.scale_factor": merge}
    return encoder("lfm2", numbers, tensors(), keys=keys)


_1_2B = Decoder(
    layers=16, width=2048, feed_forward=8192, heads=32, kv_heads=8, head_size=64,
    vocabulary=65536, context=128000, tied=True,
)  # fmt: skip
_TOWER = Encoder(
    layers=26, width=1152, feed_forward=4304, heads=16, output_width=2048, patch_px=16,
    image_px=256,
)  # fmt: skip
OTHERS = (
    Published(
        name="lfm2-vl-1-6b",
        source="LiquidAI/LFM2-VL-1.6B, config.json",
        text=lfm2(_1_2B, attends=(2, 5, 8, 10, 12, 14)),
        tower=lfm2_projector(_TOWER, inner=2560),
    ),
)
