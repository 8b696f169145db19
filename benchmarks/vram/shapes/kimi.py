"""Kimi-VL: latent attention and a mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.vram.shapes.decoder import Decoder, decoder, experts, gated
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Attention whose cache holds one vector for all heads, and the experts."""

    rank: int
    """Elements of the vector that keys and values are computed from."""
    rotated: int
    """Elements of a key that depend on its position."""
    plain: int
    """The key's other elements."""
    value: int
    """Elements of a head's value."""
    experts: int
    used: int
    shared: int
    """Experts that every token passes."""
    inner: int
    """Elements within one expert."""
    dense_layers: int = 1
    """First layers without experts (default: 1)."""


def deepseek2(numbers: Decoder, latent: Latent) -> Shape:
    """Return a language model of DeepSeek's architecture."""
    width, heads = numbers.width, numbers.heads
    key = latent.plain + latent.rotated

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        yield from scale(f"{block}attn_norm", width)
        yield from matrix(f"{block}attn_q", heads * key, width)
        yield from matrix(f"{block}attn_kv_a_mqa", latent.rank + latent.rotated, width)
        yield from scale(f"{block}attn_kv_a_norm", latent.rank)
        yield Tensor(f"{block}attn_k_b.weight", (heads, latent.rank, latent.plain))
        yield Tensor(f"{block}attn_v_b.weight", (heads, latent.value, latent.rank))
        yield from matrix(f"{block}attn_output", width, heads * latent.value)
        if index < latent.dense_layers:
            yield from gated(block, width, numbers.feed_forward)
        else:
            shared = latent.shared * latent.inner
            yield from experts(block, width, latent.inner, count=latent.experts, shared=shared)
            yield Tensor(f"{block}exp_probs_b.bias", (latent.experts,))

    keys: Keys = {
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": latent.rank,
        "attention.key_length": latent.rank + latent.rotated,
        "attention.value_length": latent.rank,
        "attention.key_length_mla": key,
        "attention.value_length_mla": latent.value,
        "rope.dimension_count": latent.rotated,
        "leading_dense_block_count": latent.dense_layers,
        "expert_count": latent.experts,
        "expert_used_count": latent.used,
        "expert_shared_count": latent.shared,
        "expert_feed_forward_length": latent.inner,
        "expert_weights_scale": 2.446,
        "expert_weights_norm": True,
        # Sigmoid.
        "expert_gating_func": 2,
    }
    return decoder("deepseek2", numbers, layer, keys=keys)


def kimivl(numbers: Encoder, *, merge: int = 2) -> Shape:
    """Return the tower; a square of `merge` x `merge` patches becomes one token."""
    width, output = numbers.width, numbers.output_width
    merged = width * merge**2

    def tensors() -> Tensors:
        yield from patches(numbers)
        yield from positions(numbers.positions, width)
        yield from blocks(numbers)
        yield from norm("v.post_ln", width)
        yield from norm("mm.input_norm", width)
        yield from linear("mm.1", merged, merged)
        yield from linear("mm.2", output, merged)

    keys: Keys = {"use_gelu": True, "vision.projector.scale_factor": merge}
    return encoder("kimivl", numbers, tensors(), keys=keys)


_A3B = Decoder(
    layers=27, width=2048, feed_forward=11264, heads=16, kv_heads=16, head_size=192,
    vocabulary=163840,
)  # fmt: skip
_LATENT = Latent(
    rank=512, rotated=64, plain=128, value=128, experts=64, used=6, shared=2, inner=1408
)
_TOWER = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=2048, patch_px=14,
    image_px=896,
)  # fmt: skip
OTHERS = (
    Published(
        name="kimi-vl-a3b",
        source="moonshotai/Kimi-VL-A3B-Instruct, config.json",
        text=deepseek2(_A3B, _LATENT),
        tower=kimivl(_TOWER),
    ),
)
