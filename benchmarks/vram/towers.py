"""Vision projectors of any shape, without data: Qwen3-VL's, and the resampler of MiniCPM-V."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.holes import Tensors, write_holes

MERGE = 2
PATCH_PX = 16
_IMAGE_PX = 768
_SLICE_PX = 448
_SLICE_PATCH_PX = 14
_SLICE_TOKENS = 64
_POSITIONS = 70**2
"""Of the resampler's table: a picture of up to 980 px a side."""
_VERSION_4_5 = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """A projector of the type qwen3vl_merger; numbers of elements."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    output_width: int
    """Width of the language model that it goes with."""
    deepstack: tuple[int, ...] = ()
    """Layers whose features the language model takes too; numbered from 0."""
    kind: Kind = Kind.F16
    """Type of the matrices."""

    def tensors(self) -> Tensors:
        """Name, shape with the rows first, and type of each tensor."""
        width, merged = self.width, self.width * MERGE**2
        for part in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
            # A row of 16 elements does not fill a block: such a tensor is F32 in a Q8_0 file.
            kind = Kind.F16 if self.kind is Kind.F16 else Kind.F32
            yield part, (width, 3, PATCH_PX, PATCH_PX), kind
        yield "v.patch_embd.bias", (width,), Kind.F32
        yield "v.position_embd.weight", ((_IMAGE_PX // PATCH_PX) ** 2, width), Kind.F32
        for layer in range(self.layers):
            block = f"v.blk.{layer}."
            yield from _norm(f"{block}ln1", width)
            yield from _norm(f"{block}ln2", width)
            yield from _linear(self.kind, f"{block}attn_qkv", 3 * width, width)
            yield from _linear(self.kind, f"{block}attn_out", width, width)
            yield from _linear(self.kind, f"{block}ffn_up", self.feed_forward, width)
            yield from _linear(self.kind, f"{block}ffn_down", width, self.feed_forward)
        for layer in self.deepstack:
            yield from _norm(f"v.deepstack.{layer}.norm", merged)
            yield from _linear(self.kind, f"v.deepstack.{layer}.fc1", merged, merged)
            yield from _linear(self.kind, f"v.deepstack.{layer}.fc2", self.output_width, merged)
        yield from _norm("v.post_ln", width)
        yield from _linear(self.kind, "mm.0", merged, merged)
        yield from _linear(self.kind, "mm.2", self.output_width, merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResamplerShape:
    """A projector of the type resampler, in F16; numbers of elements."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    output_width: int
    """Width of the language model that it goes with."""

    def tensors(self) -> Tensors:
        """Name, shape with the rows first, and type of each tensor."""
        width, output, kind = self.width, self.output_width, Kind.F16
        yield "v.patch_embd.weight", (width, 3, _SLICE_PATCH_PX, _SLICE_PATCH_PX), kind
        yield "v.patch_embd.bias", (width,), Kind.F32
        yield "v.position_embd.weight", (_POSITIONS, width), kind
        for layer in range(self.layers):
            block = f"v.blk.{layer}."
            yield from _norm(f"{block}ln1", width)
            yield from _norm(f"{block}ln2", width)
            for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
                yield from _linear(kind, f"{block}{name}", width, width)
            yield from _linear(kind, f"{block}ffn_up", self.feed_forward, width)
            yield from _linear(kind, f"{block}ffn_down", width, self.feed_forward)
        yield from _norm("v.post_ln", width)
        yield "resampler.pos_embed_k", (_POSITIONS, output), Kind.F32
        yield "resampler.query", (_SLICE_TOKENS, output), Kind.F32
        yield "resampler.proj.weight", (output, output), kind
        yield "resampler.kv.weight", (output, width), kind
        for name in ("q", "k", "v", "out"):
            yield from _linear(kind, f"resampler.attn.{name}", output, output)
        for name in ("q", "kv", "post"):
            yield from _norm(f"resampler.ln_{name}", output)


def write_tower(path: Path, shape: TowerShape | ResamplerShape) -> None:
    """Write a projector."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_vision_encoder(True)
    writer.add_vision_embedding_length(shape.width)
    writer.add_vision_feed_forward_length(shape.feed_forward)
    writer.add_vision_block_count(shape.layers)
    writer.add_vision_head_count(shape.heads)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    if isinstance(shape, ResamplerShape):
        writer.add_clip_projector_type("resampler")
        writer.add_int32("clip.minicpmv_version", _VERSION_4_5)
        writer.add_uint32("clip.minicpmv_query_num", _SLICE_TOKENS)
        writer.add_vision_projection_dim(0)  # As its converter writes it.
        writer.add_vision_image_size(_SLICE_PX)
        writer.add_vision_patch_size(_SLICE_PATCH_PX)
    else:
        writer.add_clip_projector_type("qwen3vl_merger")
        writer.add_vision_projection_dim(shape.output_width)
        writer.add_vision_image_size(_IMAGE_PX)
        writer.add_vision_patch_size(PATCH_PX)
        writer.add_vision_spatial_merge_size(MERGE)
        taken = [layer in shape.deepstack for layer in range(shape.layers)]
        writer.add_vision_is_deepstack_layers(taken)
    write_holes(writer, path, shape.tensors())


def _norm(name: str, width: int) -> Tensors:
    yield f"{name}.weight", (width,), Kind.F32
    yield f"{name}.bias", (width,), Kind.F32


def _linear(kind: Kind, name: str, outputs: int, inputs: int) -> Tensors:
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    # As with llama-quantize, rows that do not fill whole blocks stay F16.
    yield f"{name}.weight", (outputs, inputs), kind if inputs % block == 0 else Kind.F16
    yield f"{name}.bias", (outputs,), Kind.F32
