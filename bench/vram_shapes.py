"""Language models and projectors of any shape whose tensors are holes: a header and a length.

llama-server reserves for them what it would for the model of that shape, and they take no disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

MERGE = 2
PATCH_PX = 16
_IMAGE_PX = 768
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")

Tensors = Iterator[tuple[str, tuple[int, ...], Kind]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """A language model of the architectures qwen3 and qwen3vl; numbers of elements."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    vision: bool = False
    """Whether it is a qwen3vl."""
    deepstack: int = 0
    """Layers that take picture features of their own."""
    tied: bool = False
    """Whether there is no output.weight."""
    kind: Kind | None = Kind.F16
    """Type of the matrices; None: mixed as in a Q4_K_M."""

    def tensors(self) -> Tensors:
        """Name, shape with the rows first, and type of each tensor."""
        rows = (self.vocabulary, self.width)
        yield "token_embd.weight", rows, self.kind or (Kind.Q6_K if self.tied else Kind.Q4_K)
        if not self.tied:
            yield "output.weight", rows, self.kind or Kind.Q6_K
        yield "output_norm.weight", (self.width,), Kind.F32
        for layer in range(self.layers):
            yield from self._layer(layer)

    def _layer(self, layer: int) -> Tensors:
        q, kv = self.heads * self.head_size, self.kv_heads * self.head_size
        eighth = self.layers // 8
        finer = layer < eighth or layer >= 7 * self.layers // 8 or (layer - eighth) % 3 == 2
        plain = self.kind or Kind.Q4_K
        fine = self.kind or (Kind.Q6_K if finer else Kind.Q4_K)
        for name, shape, kind in (
            ("attn_norm", (self.width,), Kind.F32),
            ("ffn_norm", (self.width,), Kind.F32),
            ("attn_q_norm", (self.head_size,), Kind.F32),
            ("attn_k_norm", (self.head_size,), Kind.F32),
            ("attn_q", (q, self.width), plain),
            ("attn_k", (kv, self.width), plain),
            ("attn_v", (kv, self.width), fine),
            ("attn_output", (self.width, q), plain),
            ("ffn_gate", (self.feed_forward, self.width), plain),
            ("ffn_up", (self.feed_forward, self.width), plain),
            ("ffn_down", (self.width, self.feed_forward), fine),
        ):
            yield f"blk.{layer}.{name}.weight", shape, kind


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
            # Rows of 16 elements are no whole block: such a tensor is F32 in a Q8_0 file.
            kind = Kind.F16 if self.kind is Kind.F16 else Kind.F32
            yield part, (width, 3, PATCH_PX, PATCH_PX), kind
        yield "v.patch_embd.bias", (width,), Kind.F32
        yield "v.position_embd.weight", ((_IMAGE_PX // PATCH_PX) ** 2, width), Kind.F32
        for layer in range(self.layers):
            block = f"v.blk.{layer}."
            yield from _norm(f"{block}ln1", width)
            yield from _norm(f"{block}ln2", width)
            yield from self._linear(f"{block}attn_qkv", 3 * width, width)
            yield from self._linear(f"{block}attn_out", width, width)
            yield from self._linear(f"{block}ffn_up", self.feed_forward, width)
            yield from self._linear(f"{block}ffn_down", width, self.feed_forward)
        for layer in self.deepstack:
            yield from _norm(f"v.deepstack.{layer}.norm", merged)
            yield from self._linear(f"v.deepstack.{layer}.fc1", merged, merged)
            yield from self._linear(f"v.deepstack.{layer}.fc2", self.output_width, merged)
        yield from _norm("v.post_ln", width)
        yield from self._linear("mm.0", merged, merged)
        yield from self._linear("mm.2", self.output_width, merged)

    def _linear(self, name: str, outputs: int, inputs: int) -> Tensors:
        block, _ = gguf.GGML_QUANT_SIZES[self.kind]
        # Rows that are no whole number of blocks stay F16, as llama-quantize leaves them.
        yield f"{name}.weight", (outputs, inputs), self.kind if inputs % block == 0 else Kind.F16
        yield f"{name}.bias", (outputs,), Kind.F32


def write_text(path: Path, shape: TextShape, *, train_context: int = 262144) -> None:
    """Write a language model.

    Args:
        path: The file.
        shape: Of its tensors.
        train_context: In tokens.
    """
    writer = gguf.GGUFWriter(path, "qwen3vl" if shape.vision else "qwen3")
    writer.add_context_length(train_context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    if shape.vision:
        part = shape.head_size // 6
        writer.add_rope_dimension_sections([shape.head_size // 2 - 2 * part, part, part, 0])
        writer.add_uint32("qwen3vl.n_deepstack_layers", shape.deepstack)
    _add_tokenizer(writer, shape.vocabulary)
    _write_holes(writer, path, shape.tensors())


def write_tower(path: Path, shape: TowerShape) -> None:
    """Write a projector.

    Args:
        path: The file.
        shape: Of its tensors.
    """
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("qwen3vl_merger")
    writer.add_vision_projection_dim(shape.output_width)
    writer.add_vision_image_size(_IMAGE_PX)
    writer.add_vision_patch_size(PATCH_PX)
    writer.add_vision_embedding_length(shape.width)
    writer.add_vision_feed_forward_length(shape.feed_forward)
    writer.add_vision_block_count(shape.layers)
    writer.add_vision_head_count(shape.heads)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_spatial_merge_size(MERGE)
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    taken = [layer in shape.deepstack for layer in range(shape.layers)]
    writer.add_vision_is_deepstack_layers(taken)
    _write_holes(writer, path, shape.tensors())


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    kinds = gguf.TokenType
    tokens = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    tokens += [(f"<0x{value:02X}>", kinds.BYTE) for value in range(256)]
    tokens += [(name, kinds.CONTROL) for name in _SPECIAL]
    tokens += [(f"t{index}", kinds.NORMAL) for index in range(len(tokens), vocabulary)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([name for name, _ in tokens])
    writer.add_token_scores([0.0] * vocabulary)
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def _norm(name: str, width: int) -> Tensors:
    yield f"{name}.weight", (width,), Kind.F32
    yield f"{name}.bias", (width,), Kind.F32


def _write_holes(writer: gguf.GGUFWriter, path: Path, tensors: Tensors) -> None:
    """Write the header, and make the file as long as its tensors would make it."""
    data_bytes = 0
    for name, shape, kind in tensors:
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        size = prod(shape) // block * block_bytes
        writer.add_tensor_info(name, shape, np.dtype(np.float32), size, raw_dtype=kind)
        data_bytes += gguf.GGUFWriter.ggml_pad(size, writer.data_alignment)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    header_bytes = gguf.GGUFWriter.ggml_pad(path.stat().st_size, writer.data_alignment)
    with path.open("r+b") as file:
        file.truncate(header_bytes + data_bytes)
