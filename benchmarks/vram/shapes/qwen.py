"""Qwen2.5-VL, Qwen3-VL (dense and mixture of experts) and Qwen3.5."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.vram.shapes.decoder import (
    Decoder,
    attention,
    decoder,
    experts,
    gated,
    sections,
)
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

MERGE = 2
"""Patches on each side of one token, in all of these."""


def qwen3(numbers: Decoder) -> Shape:
    """Return a language model without pictures, which MiniCPM-V 4.5 has too."""
    return decoder("qwen3", numbers, lambda index: _dense(numbers, index))


def qwen3vl(numbers: Decoder, *, deepstack: int = 0) -> Shape:
    """Return a language model of which some layers take picture features of their own."""
    keys: Keys = {
        "rope.dimension_sections": sections(numbers.head_size),
        "n_deepstack_layers": deepstack,
    }
    return decoder("qwen3vl", numbers, lambda index: _dense(numbers, index), keys=keys)


def qwen3vlmoe(numbers: Decoder, *, count: int, used: int, deepstack: int = 0) -> Shape:
    """Return a mixture of experts, whose experts are as wide as `feed_forward`."""

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        yield from attention(block, numbers, head_norms=True)
        yield from experts(block, numbers.width, numbers.feed_forward, count=count)

    keys: Keys = {
        "rope.dimension_sections": sections(numbers.head_size),
        "n_deepstack_layers": deepstack,
        "expert_count": count,
        "expert_used_count": used,
        "expert_feed_forward_length": numbers.feed_forward,
    }
    return decoder("qwen3vlmoe", numbers, layer, keys=keys)


def qwen2(numbers: Decoder) -> Shape:
    """Return a language model without pictures, which InternVL3 has too."""
    return decoder("qwen2", numbers, lambda index: _biased(numbers, index))


def qwen2vl(numbers: Decoder) -> Shape:
    """Return a language model of Qwen2-VL and Qwen2.5-VL."""
    keys: Keys = {"rope.dimension_sections": sections(numbers.head_size)}
    return decoder("qwen2vl", numbers, lambda index: _biased(numbers, index), keys=keys)


def qwen35(numbers: Decoder, *, state: int, key_heads: int, value_heads: int) -> Shape:
    """Return a language model of three recurrent layers before each of attention.

    Args:
        numbers: Its numbers.
        state: Elements of a recurrent head's key and value.
        key_heads: Recurrent heads of keys.
        value_heads: Recurrent heads of values.
    """
    interval, kernel = 4, 4
    values = state * value_heads
    convolved = 2 * state * key_heads + values

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        if (index + 1) % interval == 0:
            queries = numbers.heads * numbers.head_size
            yield from attention(block, numbers, head_norms=True, query_gate=queries)
        else:
            yield from scale(f"{block}attn_norm", numbers.width)
            yield from matrix(f"{block}attn_qkv", convolved, numbers.width)
            yield from matrix(f"{block}attn_gate", values, numbers.width)
            yield Tensor(f"{block}ssm_conv1d.weight", (convolved, kernel))
            yield Tensor(f"{block}ssm_dt.bias", (value_heads,))
            yield Tensor(f"{block}ssm_a", (value_heads,))
            yield from matrix(f"{block}ssm_beta", value_heads, numbers.width)
            yield from matrix(f"{block}ssm_alpha", value_heads, numbers.width)
            yield from scale(f"{block}ssm_norm", state)
            yield from matrix(f"{block}ssm_out", numbers.width, values)
        yield from gated(block, numbers.width, numbers.feed_forward, before="post_attention_norm")

    rotated = numbers.head_size // 4
    keys: Keys = {
        "rope.dimension_count": rotated,
        "rope.dimension_sections": sections(rotated),
        "full_attention_interval": interval,
        "ssm.conv_kernel": kernel,
        "ssm.inner_size": values,
        "ssm.state_size": state,
        "ssm.time_step_rank": value_heads,
        "ssm.group_count": key_heads,
    }
    return decoder("qwen35", numbers, layer, keys=keys)


def qwen3vl_merger(numbers: Encoder, *, deepstack: tuple[int, ...] = ()) -> Shape:
    """Return the tower of Qwen3-VL and Qwen3.5.

    Args:
        numbers: Its numbers.
        deepstack: Layers, from 0, whose features the language model takes too (default: none).
    """
    merged = numbers.width * MERGE**2

    def tensors() -> Tensors:
        yield from patches(numbers, frames=2)
        yield from positions(numbers.positions, numbers.width)
        yield from blocks(numbers, queries="fused")
        for layer in deepstack:
            yield from norm(f"v.deepstack.{layer}.norm", merged)
            yield from linear(f"v.deepstack.{layer}.fc1", merged, merged)
            yield from linear(f"v.deepstack.{layer}.fc2", numbers.output_width, merged)
        yield from norm("v.post_ln", numbers.width)
        yield from linear("mm.0", merged, merged)
        yield from linear("mm.2", numbers.output_width, merged)

    keys: Keys = {
        "use_gelu": True,
        "vision.spatial_merge_size": MERGE,
        "vision.is_deepstack_layers": tuple(layer in deepstack for layer in range(numbers.layers)),
    }
    return encoder("qwen3vl_merger", numbers, tensors(), keys=keys)


def qwen25vl_merger(numbers: Encoder, *, full_attention_every: int = 8) -> Shape:
    """Return the tower of Qwen2.5-VL, whose other layers attend within windows."""
    merged = numbers.width * MERGE**2

    def tensors() -> Tensors:
        yield from patches(numbers, bias=False, frames=2)
        yield from blocks(numbers, gate=True, layer_norm=False)
        yield from scale("v.post_ln", numbers.width)
        yield from linear("mm.0", merged, merged)
        yield from linear("mm.2", numbers.output_width, merged)

    keys: Keys = {"use_silu": True, "vision.n_wa_pattern": full_attention_every}
    return encoder("qwen2.5vl_merger", numbers, tensors(), keys=keys)


def _dense(numbers: Decoder, index: int) -> Tensors:
    yield from attention(f"blk.{index}.", numbers, head_norms=True)
    yield from gated(f"blk.{index}.", numbers.width, numbers.feed_forward)


def _biased(numbers: Decoder, index: int) -> Tensors:
    yield from attention(f"blk.{index}.", numbers, bias=True)
    yield from gated(f"blk.{index}.", numbers.width, numbers.feed_forward)


_8B = Decoder(
    layers=36, width=4096, feed_forward=12288, heads=32, kv_heads=8, head_size=128,
    vocabulary=151936, context=262144,
)  # fmt: skip
_4B = replace(_8B, width=2560, feed_forward=9728, tied=True)
_30B_A3B = replace(_8B, layers=48, width=2048, feed_forward=768, kv_heads=4)
_7B = Decoder(
    layers=28, width=3584, feed_forward=18944, heads=28, kv_heads=4, head_size=128,
    vocabulary=152064, context=128000,
)  # fmt: skip
_3B = replace(
    _7B, layers=36, width=2048, feed_forward=11008, heads=16, kv_heads=2, vocabulary=151936,
    tied=True,
)  # fmt: skip
_9B = Decoder(
    layers=32, width=4096, feed_forward=12288, heads=16, kv_heads=4, head_size=256,
    vocabulary=248320, context=262144,
)  # fmt: skip
_TOWER_8B = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=4096, patch_px=16,
    image_px=768,
)  # fmt: skip
_TOWER_4B = replace(_TOWER_8B, layers=24, width=1024, feed_forward=4096, output_width=2560)
_TOWER_7B = Encoder(
    layers=32, width=1280, feed_forward=3420, heads=16, output_width=3584, patch_px=14,
    image_px=560,
)  # fmt: skip
QWEN3_8B = qwen3(_8B)
QWEN3_4B = qwen3(_4B)
QWEN3VL_8B = Published(
    name="qwen3vl-8b",
    source="Qwen/Qwen3-VL-8B-Instruct, config.json",
    text=qwen3vl(_8B, deepstack=3),
    tower=qwen3vl_merger(_TOWER_8B, deepstack=(8, 16, 24)),
)
QWEN3VL_4B = Published(
    name="qwen3vl-4b",
    source="Qwen/Qwen3-VL-4B-Instruct, config.json",
    text=qwen3vl(_4B, deepstack=3),
    tower=qwen3vl_merger(_TOWER_4B, deepstack=(5, 11, 17)),
)
OTHERS = (
    Published(
        name="qwen3vl-30b-a3b",
        source="Qwen/Qwen3-VL-30B-A3B-Instruct, config.json",
        text=qwen3vlmoe(_30B_A3B, count=128, used=8, deepstack=3),
        tower=qwen3vl_merger(replace(_TOWER_8B, output_width=2048), deepstack=(8, 16, 24)),
    ),
    Published(
        name="qwen2-5vl-7b",
        source="Qwen/Qwen2.5-VL-7B-Instruct, config.json",
        text=qwen2vl(_7B),
        tower=qwen25vl_merger(_TOWER_7B),
    ),
    Published(
        name="qwen2-5vl-3b",
        source="Qwen/Qwen2.5-VL-3B-Instruct, config.json",
        text=qwen2vl(_3B),
        tower=qwen25vl_merger(replace(_TOWER_7B, output_width=2048)),
    ),
    Published(
        name="qwen3-5-9b",
        source="Qwen/Qwen3.5-9B, config.json, without the layer that drafts tokens",
        text=qwen35(_9B, state=128, key_heads=16, value_heads=32),
        tower=qwen3vl_merger(_TOWER_8B),
    ),
)
