"""The parts that vision towers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.shapes.shape import (
    Keys,
    Shape,
    Tensor,
    Tensors,
    linear,
    matrix,
    norm,
    scale,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """The numbers of a vision tower."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    output_width: int
    """Width of the language model that it goes with."""
    patch_px: int
    """Side of a patch."""
    image_px: int
    """Side of an image, or of the table of positions where images may have any size."""

    @property
    def positions(self) -> int:
        """Patches of an image of `image_px`."""
        return (self.image_px // self.patch_px) ** 2

    def keys(self, projector: str) -> Keys:
        """Return the keys that each projector has."""
        return {
            "projector_type": projector,
            "has_vision_encoder": True,
            "vision.projection_dim": self.output_width,
            "vision.image_size": self.image_px,
            "vision.patch_size": self.patch_px,
            "vision.embedding_length": self.width,
            "vision.feed_forward_length": self.feed_forward,
            "vision.block_count": self.layers,
            "vision.attention.head_count": self.heads,
            "vision.attention.layer_norm_epsilon": 1e-6,
            "vision.image_mean": (0.5, 0.5, 0.5),
            "vision.image_std": (0.5, 0.5, 0.5),
        }


def encoder(
    projector: str, numbers: Encoder, tensors: Tensors, *, keys: Keys, signed: str = ""
) -> Shape:
    """Return a projector.

    Args:
        projector: Its type in llama.cpp.
        numbers: Its numbers.
        tensors: All of its tensors.
        keys: Keys beside the common ones.
        signed: The key that llama.cpp reads as signed (default: none).
    """
    return Shape(
        architecture="clip",
        keys={**numbers.keys(projector), **keys},
        tensors=tuple(tensors),
        signed_key=signed,
    )


def patches(
    numbers: Encoder, *, bias: bool = True, frames: int = 1, kind: Kind | None = None
) -> Tensors:
    """The first layer; one of two frames serves videos too."""
    for frame in range(frames):
        name = "v.patch_embd.weight" + (f".{frame}" if frame else "")
        yield Tensor(name, (numbers.width, 3, numbers.patch_px, numbers.patch_px), kind)
    if bias:
        yield Tensor("v.patch_embd.bias", (numbers.width,))


def positions(rows: int, width: int, *, kind: Kind = Kind.F32) -> Tensors:
    """The table of positions."""
    yield Tensor("v.position_embd.weight", (rows, width), kind)


def blocks(
    numbers: Encoder,
    *,
    bias: bool = True,
    queries: Literal["fused", "apart"] = "apart",
    gate: bool = False,
    layer_norm: bool = True,
    feed_forward: int | None = None,
    layer_scale: bool = False,
) -> Tensors:
    """The layers.

    Args:
        numbers: The tower's numbers.
        bias: Whether linear layers have one (default: they do).
        queries: Whether queries, keys and values are one matrix (default: they are three).
        gate: Whether the feed-forward part has a gate (default: it has none).
        layer_norm: Whether normalisations have a bias (default: they do).
        feed_forward: Elements of the feed-forward part (default: those of the key).
        layer_scale: Whether each part's result is scaled (default: it is not).
    """
    width, inner = numbers.width, feed_forward or numbers.feed_forward
    project = linear if bias else matrix
    normalise = norm if layer_norm else scale
    for index in range(numbers.layers):
        block = f"v.blk.{index}."
        yield from normalise(f"{block}ln1", width)
        yield from normalise(f"{block}ln2", width)
        if queries == "fused":
            yield from project(f"{block}attn_qkv", 3 * width, width)
        else:
            for name in ("attn_q", "attn_k", "attn_v"):
                yield from project(f"{block}{name}", width, width)
        yield from project(f"{block}attn_out", width, width)
        if gate:
            yield from project(f"{block}ffn_gate", inner, width)
        yield from project(f"{block}ffn_up", inner, width)
        yield from project(f"{block}ffn_down", width, inner)
        if layer_scale:
            yield from scale(f"{block}ls1", width)
            yield from scale(f"{block}ls2", width)
