"""Language models of any shape, without data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.holes import Tensors, write_holes

_SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")


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
    """Whether output.weight is missing."""
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


def write_text(path: Path, shape: TextShape) -> None:
    """Write a language model."""
    writer = gguf.GGUFWriter(path, "qwen3vl" if shape.vision else "qwen3")
    writer.add_context_length(262144)
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
    write_holes(writer, path, shape.tensors())


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
