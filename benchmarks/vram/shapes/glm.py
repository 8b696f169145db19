"""GLM-4.6V-Flash."""

from __future__ import annotations

from benchmarks.vram.shapes.decoder import Decoder, attention, decoder, sections
from benchmarks.vram.shapes.encoder import Encoder, blocks, encoder, patches, positions
from benchmarks.vram.shapes.shape import (
    Keys,
    Published,
    Shape,
    Tensor,
    Tensors,
    matrix,
    norm,
    scale,
)

_MERGE = 2


def glm4(numbers: Decoder) -> Shape:
    """Return a language model whose gate and up matrices are one."""

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        yield from attention(block, numbers, bias=True)
        yield from scale(f"{block}post_attention_norm", numbers.width)
        yield from scale(f"{block}ffn_norm", numbers.width)
        yield from matrix(f"{block}ffn_up", 2 * numbers.feed_forward, numbers.width)
        yield from matrix(f"{block}ffn_down", numbers.width, numbers.feed_forward)
        yield from scale(f"{block}post_ffw_norm", numbers.width)

    rotated = numbers.head_size // 2
    keys: Keys = {
        "rope.dimension_count": rotated,
        "rope.dimension_sections": sections(rotated),
    }
    return decoder("glm4", numbers, layer, keys=keys)


def glm4v(numbers: Encoder) -> Shape:
    """Return the tower; its feed-forward length is that of the part that merges patches."""
    width, output, merger = numbers.width, numbers.output_width, numbers.feed_forward

    def tensors() -> Tensors:
        yield from patches(numbers, frames=2)
        yield from positions(numbers.positions, width)
        yield from scale("v.norm_embd", width)
        yield from blocks(
            numbers, bias=False, queries="fused", gate=True, layer_norm=False, feed_forward=output
        )
        yield from scale("v.post_ln", width)
        yield Tensor("mm.patch_merger.weight", (output, width, _MERGE, _MERGE))
        yield Tensor("mm.patch_merger.bias", (output,))
        yield from matrix("mm.model.fc", output, output)
        yield from norm("mm.post_norm", output)
        yield from matrix("mm.gate", merger, output)
        yield from matrix("mm.up", merger, output)
        yield from matrix("mm.down", output, merger)

    return encoder("glm4v", numbers, tensors(), keys={"use_silu": True})


_9B = Decoder(
    layers=40, width=4096, feed_forward=13696, heads=32, kv_heads=2, head_size=128,
    vocabulary=151552,
)  # fmt: skip
_TOWER = Encoder(
    layers=24, width=1536, feed_forward=13696, heads=12, output_width=4096, patch_px=14,
    image_px=336,
)  # fmt: skip
OTHERS = (
    Published(
        name="glm-4-6v-flash",
        source="zai-org/GLM-4.6V-Flash, config.json",
        text=glm4(_9B),
        tower=glm4v(_TOWER),
    ),
)
