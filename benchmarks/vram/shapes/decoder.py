"""The parts that language models share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.vram.shapes.shape import (
    Keys,
    Shape,
    Tensor,
    Tensors,
    linear,
    matrix,
    scale,
)

Layer = Callable[[int], Tensors]
"""Returns the tensors of one layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """The numbers of a language model."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    """Elements of an attention head's key and value."""
    vocabulary: int
    """Number of tokens."""
    context: int = 131072
    """Tokens that it was trained for (default: 131072)."""
    tied: bool = False
    """Whether output.weight is missing (default: it is there)."""

    def keys(self) -> Keys:
        """Return the keys that each architecture has."""
        return {
            "context_length": self.context,
            "embedding_length": self.width,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head_size,
            "attention.value_length": self.head_size,
            "attention.layer_norm_rms_epsilon": 1e-6,
            "rope.freq_base": 1e6,
        }


def decoder(
    architecture: str,
    numbers: Decoder,
    layer: Layer,
    *,
    keys: Keys | None = None,
    extra: tuple[Tensor, ...] = (),
    output_norm: str = "output_norm",
) -> Shape:
    """Return a language model of equal or unequal layers.

    Args:
        architecture: Its name in llama.cpp.
        numbers: Its numbers.
        layer: Returns the tensors of one layer.
        keys: Keys beside the common ones (default: none).
        extra: Tensors outside layers, beside the common ones (default: none).
        output_norm: Name of the last normalisation (default: output_norm).
    """
    tensors = [*matrix("token_embd", numbers.vocabulary, numbers.width)]
    if not numbers.tied:
        tensors += matrix("output", numbers.vocabulary, numbers.width)
    tensors += scale(output_norm, numbers.width)
    tensors += extra
    for index in range(numbers.layers):
        tensors += layer(index)
    return Shape(
        architecture=architecture,
        keys={**numbers.keys(), **(keys or {})},
        tensors=tuple(tensors),
        vocabulary=numbers.vocabulary,
    )


def sections(head_size: int) -> tuple[int, int, int, int]:
    """Share a head's rotary dimensions between time, height and width."""
    side = head_size // 6
    return (head_size // 2 - 2 * side, side, side, 0)


def attention(
    block: str,
    numbers: Decoder,
    *,
    bias: bool = False,
    head_norms: bool = False,
    query_gate: int = 0,
) -> Tensors:
    """Projections to queries, keys and values, and back.

    Args:
        block: Prefix of the layer.
        numbers: The model's numbers.
        bias: Whether queries, keys and values have one (default: they have none).
        head_norms: Whether queries and keys are normalised (default: they are not).
        query_gate: Elements of a gate that the queries' projection yields too (default: 0).
    """
    queries, values = numbers.heads * numbers.head_size, numbers.kv_heads * numbers.head_size
    project = linear if bias else matrix
    yield from scale(f"{block}attn_norm", numbers.width)
    if head_norms:
        yield from scale(f"{block}attn_q_norm", numbers.head_size)
        yield from scale(f"{block}attn_k_norm", numbers.head_size)
    yield from project(f"{block}attn_q", queries + query_gate, numbers.width)
    yield from project(f"{block}attn_k", values, numbers.width)
    yield from project(f"{block}attn_v", values, numbers.width)
    yield from matrix(f"{block}attn_output", numbers.width, queries)


def gated(block: str, width: int, feed_forward: int, *, before: str = "ffn_norm") -> Tensors:
    """The feed-forward part with a gate, and the normalisation before it."""
    yield from scale(f"{block}{before}", width)
    yield from matrix(f"{block}ffn_gate", feed_forward, width)
    yield from matrix(f"{block}ffn_up", feed_forward, width)
    yield from matrix(f"{block}ffn_down", width, feed_forward)


def experts(block: str, width: int, feed_forward: int, *, count: int, shared: int = 0) -> Tensors:
    """The feed-forward part of a mixture of experts.

    Args:
        block: Prefix of the layer.
        width: Elements of an embedding.
        feed_forward: Elements within one expert.
        count: Number of experts.
        shared: Elements within the expert that every token passes (default: there is none).
    """
    yield from scale(f"{block}ffn_norm", width)
    yield from matrix(f"{block}ffn_gate_inp", count, width)
    yield Tensor(f"{block}ffn_gate_exps.weight", (count, feed_forward, width))
    yield Tensor(f"{block}ffn_up_exps.weight", (count, feed_forward, width))
    yield Tensor(f"{block}ffn_down_exps.weight", (count, width, feed_forward))
    if shared:
        yield from matrix(f"{block}ffn_gate_shexp", shared, width)
        yield from matrix(f"{block}ffn_up_shexp", shared, width)
        yield from matrix(f"{block}ffn_down_shexp", width, shared)
