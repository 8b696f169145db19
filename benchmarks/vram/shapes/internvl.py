"""InternVL3: a Qwen2.5 with a tower of its own."""

from __future__ import annotations

from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder, blocks, encoder, patches, positions
from benchmarks.vram.shapes.qwen import qwen2
from benchmarks.vram.shapes.shape import Keys, Published, Shape, Tensor, Tensors, linear, norm


def internvl(numbers: Encoder, *, merge: int = 2) -> Shape:
    """Return the tower; a square of `merge` x `merge` patches becomes one token."""
    width, output = numbers.width, numbers.output_width
    merged = width * merge**2

    def tensors() -> Tensors:
        yield from patches(numbers)
        yield Tensor("v.class_embd", (width,))
        yield from positions(numbers.positions + 1, width)
        yield from blocks(numbers, layer_scale=True)
        yield from norm("mm.model.mlp.0", merged)
        yield from linear("mm.model.mlp.1", output, merged)
        yield from linear("mm.model.mlp.3", output, output)

    keys: Keys = {
        "use_gelu": True,
        "vision.projector.scale_factor": merge,
        "vision.preproc_min_tiles": 1,
        "vision.preproc_max_tiles": 12,
    }
    return encoder("internvl", numbers, tensors(), keys=keys)


_8B = Decoder(
    layers=28, width=3584, feed_forward=18944, heads=28, kv_heads=4, head_size=128,
    vocabulary=151674, context=32768,
)  # fmt: skip
_TOWER = Encoder(
    layers=24, width=1024, feed_forward=4096, heads=16, output_width=3584, patch_px=14,
    image_px=448,
)  # fmt: skip
OTHERS = (
    Published(
        name="internvl3-8b",
        source="OpenGVLab/InternVL3-8B, config.json",
        text=qwen2(_8B),
        tower=internvl(_TOWER),
    ),
)
