"""Granite Vision 3.2: LLaVA's projector on features of four layers."""

from __future__ import annotations

from benchmarks.vram.shapes.decoder import Decoder
from benchmarks.vram.shapes.encoder import Encoder
from benchmarks.vram.shapes.llama import llama, mlp
from benchmarks.vram.shapes.shape import Keys, Published, Shape


def granite(numbers: Decoder) -> Shape:
    """Return a language model of Llama's tensors with scaled parts."""
    keys: Keys = {
        "attention.scale": 1 / numbers.head_size,
        "embedding_scale": 12.0,
        "residual_scale": 0.22,
        "logit_scale": 8.0,
    }
    return llama(numbers, architecture="granite", keys=keys)


_2B = Decoder(
    layers=40, width=2048, feed_forward=8192, heads=32, kv_heads=8, head_size=64,
    vocabulary=49156, tied=True,
)  # fmt: skip
_SIGLIP = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=2048, patch_px=14,
    image_px=384,
)  # fmt: skip
_GRID = tuple((384 * across, 384 * down) for across in range(1, 11) for down in range(1, 11))
OTHERS = (
    Published(
        name="granite-vision-3-2-2b",
        source="ibm-granite/granite-vision-3.2-2b, config.json",
        text=granite(_2B),
        tower=mlp(
            _SIGLIP,
            features=(4, 8, 16, 27),
            grid=tuple(size for size in _GRID if size[0] * size[1] <= 10 * 384**2),
            class_token=False,
        ),
    ),
)
