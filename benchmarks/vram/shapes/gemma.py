"""Gemma 3 and Gemma 4: sliding windows; in Gemma 4 also layers of unequal heads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.shapes.decoder import Decoder, attention, decoder, gated
from benchmarks.vram.shapes.encoder import Encoder, blocks, encoder, patches, positions
from benchmarks.vram.shapes.shape import (
    Published,
    Shape,
    Tensor,
    Tensors,
    Value,
    matrix,
    norm,
    scale,
)

_FULL_EVERY = 6
"""Each sixth layer attends to the whole context, the others to a window."""
_POSITIONS = 10240
"""Rows of Gemma 4's table of positions, of which it has one for each axis."""
_EMBEDDER_POSITIONS = 1120
"""Rows of the same table in Gemma 4 12B."""


def gemma3(numbers: Decoder, *, window: int) -> Shape:
    """Return a language model of Gemma 3."""

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        yield from attention(block, numbers, head_norms=True)
        yield from scale(f"{block}post_attention_norm", numbers.width)
        yield from gated(block, numbers.width, numbers.feed_forward)
        yield from scale(f"{block}post_ffw_norm", numbers.width)

    keys = {"attention.sliding_window": window}
    return decoder("gemma3", numbers, layer, keys=keys)


def gemma3_projector(numbers: Encoder, *, pool: int = 4) -> Shape:
    """Return the tower of Gemma 3; a square of `pool` x `pool` patches becomes one token."""

    def tensors() -> Tensors:
        yield from patches(numbers, kind=Kind.F32)
        yield from positions(numbers.positions, numbers.width)
        yield from blocks(numbers)
        yield from norm("v.post_ln", numbers.width)
        # The one matrix that its converter leaves transposed.
        yield from matrix("mm.input_projection", numbers.width, numbers.output_width)
        yield from scale("mm.soft_emb_norm", numbers.width)

    keys = {"use_gelu": True, "vision.projector.scale_factor": pool}
    return encoder("gemma3", numbers, tensors(), keys=keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """Of Gemma 4, what its layers of full attention have otherwise, and its optional parts."""

    head_size: int
    kv_heads: int
    values: bool
    """Whether they have a matrix of values; else the keys are the values."""
    window: int
    """Tokens that the other layers attend to."""
    shared_layers: int = 0
    """Last layers that use the keys and values of layers before them, although files have their
    own matrices (default: 0)."""
    layer_width: int = 0
    """Elements of a token's embedding for each layer (default: 0, there is none)."""
    experts: int = 0
    """Number of experts (default: 0, not a mixture)."""
    experts_used: int = 0
    expert_feed_forward: int = 0


def gemma4(numbers: Decoder, wide: Wide) -> Shape:
    """Return a language model of Gemma 4."""
    slides = tuple((index + 1) % _FULL_EVERY > 0 for index in range(numbers.layers))
    full = replace(numbers, head_size=wide.head_size, kv_heads=wide.kv_heads)

    def layer(index: int) -> Tensors:
        block = f"blk.{index}."
        own = numbers if slides[index] else full
        for tensor in attention(block, own, head_norms=True):
            if slides[index] or wide.values or not tensor.name.endswith("attn_v.weight"):
                yield tensor
        yield from scale(f"{block}post_attention_norm", numbers.width)
        yield from gated(block, numbers.width, numbers.feed_forward)
        yield from scale(f"{block}post_ffw_norm", numbers.width)
        yield Tensor(f"{block}layer_output_scale.weight", (1,))
        if wide.experts:
            yield from _experts(block, numbers.width, wide)
        if wide.layer_width:
            yield from matrix(f"{block}inp_gate", wide.layer_width, numbers.width)
            yield from matrix(f"{block}proj", numbers.width, wide.layer_width)
            yield from scale(f"{block}post_norm", numbers.width)

    kv_heads = tuple(numbers.kv_heads if slide else wide.kv_heads for slide in slides)
    keys: dict[str, Value] = {
        "attention.head_count_kv": kv_heads,
        "attention.key_length": wide.head_size,
        "attention.value_length": wide.head_size,
        "attention.key_length_swa": numbers.head_size,
        "attention.value_length_swa": numbers.head_size,
        "attention.sliding_window": wide.window,
        "attention.sliding_window_pattern": slides,
        "attention.shared_kv_layers": wide.shared_layers,
        "embedding_length_per_layer_input": wide.layer_width,
        "rope.dimension_count": wide.head_size,
        "rope.dimension_count_swa": numbers.head_size,
        "rope.freq_base_swa": 10000.0,
        "final_logit_softcapping": 30.0,
    }
    if wide.experts:
        keys |= {
            "expert_count": wide.experts,
            "expert_used_count": wide.experts_used,
            "expert_feed_forward_length": wide.expert_feed_forward,
        }
    return decoder("gemma4", numbers, layer, keys=keys, extra=tuple(_beside_layers(numbers, wide)))


def gemma4_projector(numbers: Encoder, *, standardised: bool, pool: int = 3) -> Shape:
    """Return the tower of Gemma 4; a square of `pool` x `pool` patches becomes one token.

    Args:
        numbers: Its numbers.
        standardised: Whether its result is, as in the larger models.
        pool: Patches on each side of a token (default: 3).
    """
    head_size = numbers.width // numbers.heads

    def tensors() -> Tensors:
        yield from patches(numbers, bias=False)
        yield Tensor("v.position_embd.weight", (2, _POSITIONS, numbers.width), Kind.F32)
        yield from blocks(numbers, bias=False, gate=True, layer_norm=False)
        for index in range(numbers.layers):
            block = f"v.blk.{index}."
            yield from scale(f"{block}attn_q_norm", head_size)
            yield from scale(f"{block}attn_k_norm", head_size)
            yield from scale(f"{block}attn_post_norm", numbers.width)
            yield from scale(f"{block}ffn_post_norm", numbers.width)
        if standardised:
            yield Tensor("v.std_bias", (numbers.width,))
            yield Tensor("v.std_scale", (numbers.width,))
        yield from matrix("mm.input_projection", numbers.output_width, numbers.width)

    keys = {"use_gelu": True, "vision.projector.scale_factor": pool}
    return encoder("gemma4v", numbers, tensors(), keys=keys)


def gemma4_embedder(numbers: Encoder, *, pool: int = 3) -> Shape:
    """Return what Gemma 4 12B has instead of a tower: squares of patches become tokens at once."""
    width = numbers.width
    pixels = 3 * (numbers.patch_px * pool) ** 2

    def tensors() -> Tensors:
        yield Tensor("v.patch_embd.weight", (width, pixels))
        yield Tensor("v.patch_embd.bias", (width,))
        for index, inputs in enumerate((pixels, width, width), start=1):
            yield from norm(f"v.patch_norm.{index}", inputs)
        yield Tensor("v.position_embd.weight", (2, _EMBEDDER_POSITIONS, width), Kind.F32)
        yield from matrix("mm.input_projection", numbers.output_width, width)

    keys = {"use_gelu": True, "vision.projector.scale_factor": pool}
    return encoder("gemma4uv", numbers, tensors(), keys=keys)


def _experts(block: str, width: int, wide: Wide) -> Tensors:
    """The mixture that Gemma 4 has beside its dense feed-forward part."""
    count, inner = wide.experts, wide.expert_feed_forward
    yield from matrix(f"{block}ffn_gate_inp", count, width)
    yield Tensor(f"{block}ffn_gate_inp.scale", (width,))
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        yield from scale(f"{block}{name}", width)
    yield Tensor(f"{block}ffn_gate_up_exps.weight", (count, 2 * inner, width))
    yield Tensor(f"{block}ffn_down_exps.weight", (count, width, inner))
    yield Tensor(f"{block}ffn_down_exps.scale", (count,))


def _beside_layers(numbers: Decoder, wide: Wide) -> Tensors:
    yield Tensor("rope_freqs.weight", (wide.head_size // 2,))
    if wide.layer_width:
        together = wide.layer_width * numbers.layers
        yield from matrix("per_layer_token_embd", numbers.vocabulary, together)
        # llama-quantize leaves it as it is.
        name = "per_layer_model_proj.weight"
        yield Tensor(name, (together, numbers.width), Kind.F16)
        yield from scale("per_layer_proj_norm", wide.layer_width)


_3_4B = Decoder(
    layers=34, width=2560, feed_forward=10240, heads=8, kv_heads=4, head_size=256,
    vocabulary=262208, tied=True,
)  # fmt: skip
_3_12B = replace(_3_4B, layers=48, width=3840, feed_forward=15360, heads=16, kv_heads=8)
_SIGLIP = Encoder(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=2560, patch_px=14,
    image_px=896,
)  # fmt: skip
_E4B = Decoder(
    layers=42, width=2560, feed_forward=10240, heads=8, kv_heads=2, head_size=256,
    vocabulary=262144, tied=True,
)  # fmt: skip
_12B = replace(
    _E4B, layers=48, width=3840, feed_forward=15360, heads=16, kv_heads=8, context=262144
)
_26B_A4B = replace(
    _E4B, layers=30, width=2816, feed_forward=2112, heads=16, kv_heads=8, context=262144
)
_ON_DEVICE = Encoder(
    layers=16, width=768, feed_forward=3072, heads=12, output_width=2560, patch_px=16,
    image_px=224,
)  # fmt: skip
_LARGE = replace(_ON_DEVICE, layers=27, width=1152, feed_forward=4304, heads=16, output_width=2816)
_NO_TOWER = replace(_ON_DEVICE, layers=0, width=3840, feed_forward=0, heads=0, output_width=3840)
_VARIANTS = "transformers, convert_gemma4_weights.py"
OTHERS = (
    Published(
        name="gemma-3-4b",
        source="google/gemma-3-4b-it, config.json",
        text=gemma3(_3_4B, window=1024),
        tower=gemma3_projector(_SIGLIP),
    ),
    Published(
        name="gemma-3-12b",
        source="google/gemma-3-12b-it, config.json",
        text=gemma3(_3_12B, window=1024),
        tower=gemma3_projector(replace(_SIGLIP, output_width=3840)),
    ),
    Published(
        name="gemma-4-e4b",
        source=f"{_VARIANTS} (gemma-4-e4b), without the tower for sound",
        text=gemma4(
            _E4B,
            Wide(
                head_size=512, kv_heads=2, values=True, window=512, shared_layers=18,
                layer_width=256,
            ),
        ),
        tower=gemma4_projector(_ON_DEVICE, standardised=False),
    ),
    Published(
        name="gemma-4-12b",
        source="google/gemma-4-12B-it, config.json, without the matrix for sound",
        text=gemma4(_12B, Wide(head_size=512, kv_heads=1, values=False, window=1024)),
        tower=gemma4_embedder(_NO_TOWER),
    ),
    Published(
        name="gemma-4-26b-a4b",
        source=f"{_VARIANTS} (gemma-4-26b-a4b)",
        text=gemma4(
            _26B_A4B,
            Wide(
                head_size=512, kv_heads=2, values=False, window=1024, experts=128,
                experts_used=8, expert_feed_forward=704,
            ),
        ),
        tower=gemma4_projector(_LARGE, standardised=True),
    ),
)  # fmt: skip
