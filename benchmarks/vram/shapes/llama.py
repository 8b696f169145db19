"""Llama's architecture, and models of it: LLaVA 1.6 and SmolVLM2; and Llama 4."""

from __future__ import annotations

from dataclasses import replace

from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.shapes.decoder import Decoder, attention, decoder, experts, gated
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
)


def llama(numbers: Decoder, *, architecture: str = "llama", keys: Keys | None = None) -> Shape:
    """Return a plain language model.

    Args:
        numbers: Its numbers.
        architecture: Of those that have the same tensors (default: llama).
        keys: Keys beside the common ones (default: none).
    """

    def layer(index: int) -> Tensors:
        yield from attention(f"blk.{index}.", numbers)
        yield from gated(f"blk.{index}.", numbers.width, numbers.feed_forward)

    rotated = {"rope.dimension_count": numbers.head_size}
    return decoder(architecture, numbers, layer, keys={**rotated, **(keys or {})})


def llama4(numbers: Decoder, *, count: int, used: int, inner: int) -> Shape:
    """Return a mixture of experts, one of which every token passes.

    Args:
        numbers: Its numbers.
        count: Number of experts.
        used: Experts that a token passes beside the one for all.
        inner: Elements within one expert.
    """

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        yield from attention(block, numbers)
        yield from experts(block, numbers.width, inner, count=count, shared=inner)

    keys: Keys = {
        "rope.dimension_count": numbers.head_size,
        "expert_count": count,
        "expert_used_count": used,
        "expert_feed_forward_length": inner,
        "interleave_moe_layer_step": 1,
    }
    freqs = Tensor("rope_freqs.weight", (numbers.head_size // 2,))
    return decoder("llama4", numbers, layer, keys=keys, extra=(freqs,))


def mlp(
    numbers: Encoder,
    *,
    features: tuple[int, ...],
    grid: tuple[tuple[int, int], ...],
    class_token: bool,
) -> Shape:
    """Return the tower of LLaVA 1.6 and Granite Vision.

    Args:
        numbers: Its numbers.
        features: Layers whose features it concatenates, counted from 1.
        grid: Sizes in px that an image is resized to, width first.
        class_token: Whether it is CLIP with a token for the whole image, or SigLIP.
    """
    width = numbers.width

    def tensors() -> Tensors:
        yield from patches(numbers, bias=not class_token)
        yield from positions(numbers.positions + class_token, width, kind=Kind.F16)
        if class_token:
            yield Tensor("v.class_embd", (width,))
            yield from norm("v.pre_ln", width)
        yield from blocks(numbers)
        yield from linear("mm.0", numbers.output_width, width * len(features))
        yield from linear("mm.2", numbers.output_width, numbers.output_width)
        yield Tensor("v.image_newline", (numbers.output_width,))

    keys: Keys = {
        "use_gelu": not class_token,
        "has_llava_projector": True,
        "vision.feature_layer": features,
        "vision.image_grid_pinpoints": tuple(side for size in grid for side in size),
        "vision.mm_patch_merge_type": "spatial_unpad",
    }
    return encoder("mlp", numbers, tensors(), keys=keys)


def idefics3(numbers: Encoder, *, merge: int, longest_px: int) -> Shape:
    """Return the tower of SmolVLM2.

    Args:
        numbers: Its numbers.
        merge: Patches on each side of one token.
        longest_px: Longer side of an image.
    """

    def tensors() -> Tensors:
        yield from patches(numbers, kind=Kind.F32)
        yield from positions(numbers.positions, numbers.width)
        yield from blocks(numbers)
        yield from norm("v.post_ln", numbers.width)
        yield from matrix("mm.model.fc", numbers.output_width, numbers.width * merge**2)

    keys: Keys = {
        "use_gelu": True,
        "vision.projector.scale_factor": merge,
        "vision.preproc_image_size": longest_px,
    }
    return encoder("idefics3", numbers, tensors(), keys=keys)


def llama4_projector(numbers: Encoder, *, adapter: int, merge: int = 2) -> Shape:
    """Return the tower of Llama 4.

    Args:
        numbers: Its numbers.
        adapter: Width between tower and language model.
        merge: Patches on each side of one token (default: 2).
    """
    width = numbers.width

    def tensors() -> Tensors:
        pixels = 3 * numbers.patch_px**2
        # Its first layer unfolds an image instead of convolving it.
        yield Tensor("v.patch_embd.weight", (width, pixels))
        yield Tensor("v.class_embd", (width,))
        yield from positions(numbers.positions + 1, width)
        yield from norm("v.pre_ln", width)
        yield from blocks(numbers)
        yield from norm("v.post_ln", width)
        yield from matrix("mm.model.mlp.1", adapter, width * merge**2)
        yield from matrix("mm.model.mlp.2", adapter, adapter)
        yield from matrix("mm.model.fc", numbers.output_width, adapter)

    keys: Keys = {"use_gelu": True, "vision.projector.scale_factor": merge}
    return encoder("llama4", numbers, tensors(), keys=keys)


_MISTRAL_7B = Decoder(
    layers=32, width=4096, feed_forward=14336, heads=32, kv_heads=8, head_size=128,
    vocabulary=32064, context=32768,
)  # fmt: skip
_CLIP = Encoder(
    layers=23, width=1024, feed_forward=4096, heads=16, output_width=4096, patch_px=14,
    image_px=336,
)  # fmt: skip
_SMOL_2_2B = Decoder(
    layers=24, width=2048, feed_forward=8192, heads=32, kv_heads=32, head_size=64,
    vocabulary=49280, context=8192,
)  # fmt: skip
_SMOL_500M = replace(_SMOL_2_2B, layers=32, width=960, feed_forward=2560, heads=15, kv_heads=5)
_SIGLIP = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=2048, patch_px=14,
    image_px=384,
)  # fmt: skip
_SIGLIP_BASE = Encoder(
    layers=12, width=768, feed_forward=3072, heads=12, output_width=960, patch_px=16,
    image_px=512,
)  # fmt: skip
_SCOUT = Decoder(
    layers=48, width=5120, feed_forward=16384, heads=40, kv_heads=8, head_size=128,
    vocabulary=202048, context=10485760,
)  # fmt: skip
_SCOUT_TOWER = Encoder(
    layers=34, width=1408, feed_forward=5632, heads=16, output_width=5120, patch_px=14,
    image_px=336,
)  # fmt: skip
OTHERS = (
    Published(
        name="llava-1-6-mistral-7b",
        source="liuhaotian/llava-v1.6-mistral-7b, config.json",
        text=llama(_MISTRAL_7B),
        tower=mlp(
            _CLIP,
            features=(23,),
            grid=((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)),
            class_token=True,
        ),
    ),
    Published(
        name="smolvlm2-2-2b",
        source="HuggingFaceTB/SmolVLM2-2.2B-Instruct, config.json",
        text=llama(_SMOL_2_2B),
        tower=idefics3(_SIGLIP, merge=3, longest_px=1536),
    ),
    Published(
        name="smolvlm2-500m",
        source="HuggingFaceTB/SmolVLM2-500M-Video-Instruct, config.json",
        text=llama(_SMOL_500M),
        tower=idefics3(_SIGLIP_BASE, merge=4, longest_px=2048),
    ),
    Published(
        name="llama-4-scout",
        source="meta-llama/Llama-4-Scout-17B-16E-Instruct, config.json",
        text=llama4(_SCOUT, count=16, used=1, inner=8192),
        tower=llama4_projector(_SCOUT_TOWER, adapter=4096),
    ),
)
