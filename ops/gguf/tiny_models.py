"""Vision models of half a megabyte: random weights in the architecture of Qwen3-VL.

llama-server loads them, accepts images and answers at once, so everything around a model can be
tested on any machine. Their answers mean nothing.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_WIDTH = 64
_LAYERS = 2
_HEADS = 4
_KV_HEADS = 2
_HEAD_SIZE = 16
WIDE_HEAD_SIZE = 32
"""For a quantised KV cache, whose rows are whole blocks of 32 elements."""
_FEED_FORWARD = 128
_TRAIN_CONTEXT = 4096

_VISION_WIDTH = 32
_VISION_LAYERS = 2
_VISION_HEADS = 2
_VISION_FEED_FORWARD = 64
_PATCH_PX = 16
_IMAGE_PX = 256
_MERGE = 2
"""Patches on each side of one token, which covers 32 x 32 px."""

_SPREAD = 0.3
"""Standard deviation of a weight; with less, two images get the same answer."""
_OUTPUT_SPREAD = 2.0
"""Standard deviation of an output weight; with less, sampling decides instead of the model."""

_FIRST_BYTE = 3
"""Token of byte 0, after <unk>, <s> and </s>."""
_LABELS = "0123456789ABCDE"
"""Labels that a grammar may ask for."""
_LABEL_SPREAD = 0.25
"""Standard deviation of a label's output weights: a model writes labels only where a grammar asks
for them, and their probabilities depend on the image."""

_SYLLABLES = tuple(
    f"\u2581{consonant}{vowel}" for consonant in "bdfghklmnprstvwz" for vowel in "aeiou"
)
"""Vocabulary of the models' answers, which a terminal can show."""

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_weights(
    path: Path,
    name: str,
    *,
    vision: bool = True,
    layers: int = _LAYERS,
    train_context: int = _TRAIN_CONTEXT,
    head_size: int = _HEAD_SIZE,
    tensors_a_part: int = 0,
) -> None:
    """Write a language model.

    Args:
        path: The file, whose directory exists.
        name: Seed of the weights: equal names give equal bytes.
        vision: Whether it accepts a projector's tokens (architecture qwen3vl) or only text.
        layers: Number of layers (default: 2); more layers make it slow.
        train_context: Tokens that it claims to be trained for (default: 4096).
        head_size: Elements of an attention head's key and value, a multiple of 16 (default: 16).
        tensors_a_part: Tensors in each part of a split model, `<name>-00001-of-00003.gguf` and
            so on (default: one whole file); it has 11 for each layer and 3 more.
    """
    writer = _Writer(path, "qwen3vl" if vision else "qwen3", name, tensors_a_part)
    writer.add_name(f"tiny-random-{name}")
    writer.add_context_length(train_context)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    if vision:
        writer.add_rope_dimension_sections([part * head_size // 16 for part in (3, 3, 2, 0)])
        writer.add_uint32("qwen3vl.n_deepstack_layers", 0)
    unspoken = _add_tokenizer(writer)
    writer.random("token_embd.weight", unspoken + len(_SYLLABLES), _WIDTH)
    writer.spoken("output.weight", unspoken, len(_SYLLABLES), _WIDTH)
    writer.constant("output_norm.weight", 1, _WIDTH)
    for layer in range(layers):
        block = f"blk.{layer}."
        for norm, width in (
            ("attn_norm", _WIDTH),
            ("ffn_norm", _WIDTH),
            ("attn_q_norm", head_size),
            ("attn_k_norm", head_size),
        ):
            writer.constant(f"{block}{norm}.weight", 1, width)
        writer.random(f"{block}attn_q.weight", _HEADS * head_size, _WIDTH)
        writer.random(f"{block}attn_k.weight", _KV_HEADS * head_size, _WIDTH)
        writer.random(f"{block}attn_v.weight", _KV_HEADS * head_size, _WIDTH)
        writer.random(f"{block}attn_output.weight", _WIDTH, _HEADS * head_size)
        writer.random(f"{block}ffn_gate.weight", _FEED_FORWARD, _WIDTH)
        writer.random(f"{block}ffn_up.weight", _FEED_FORWARD, _WIDTH)
        writer.random(f"{block}ffn_down.weight", _WIDTH, _FEED_FORWARD)
    writer.write()


def write_projector(path: Path, name: str) -> None:
    """Write the vision projector (mmproj) for the models of `write_weights`.

    Args:
        path: The file, whose directory exists.
        name: Seed of the weights: equal names give equal bytes.
    """
    writer = _Writer(path, "clip", name)
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("qwen3vl_merger")
    writer.add_vision_projection_dim(_WIDTH)
    writer.add_vision_image_size(_IMAGE_PX)
    writer.add_vision_patch_size(_PATCH_PX)
    writer.add_vision_embedding_length(_VISION_WIDTH)
    writer.add_vision_feed_forward_length(_VISION_FEED_FORWARD)
    writer.add_vision_block_count(_VISION_LAYERS)
    writer.add_vision_head_count(_VISION_HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_spatial_merge_size(_MERGE)
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_vision_is_deepstack_layers([False] * _VISION_LAYERS)
    for part in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        writer.random(part, _VISION_WIDTH, 3, _PATCH_PX, _PATCH_PX)
    writer.constant("v.patch_embd.bias", 0, _VISION_WIDTH)
    writer.random("v.position_embd.weight", (_IMAGE_PX // _PATCH_PX) ** 2, _VISION_WIDTH)
    for layer in range(_VISION_LAYERS):
        block = f"v.blk.{layer}."
        for norm in ("ln1", "ln2"):
            writer.constant(f"{block}{norm}.weight", 1, _VISION_WIDTH)
            writer.constant(f"{block}{norm}.bias", 0, _VISION_WIDTH)
        writer.linear(f"{block}attn_qkv", 3 * _VISION_WIDTH, _VISION_WIDTH)
        writer.linear(f"{block}attn_out", _VISION_WIDTH, _VISION_WIDTH)
        writer.linear(f"{block}ffn_up", _VISION_FEED_FORWARD, _VISION_WIDTH)
        writer.linear(f"{block}ffn_down", _VISION_WIDTH, _VISION_FEED_FORWARD)
    writer.constant("v.post_ln.weight", 1, _VISION_WIDTH)
    writer.constant("v.post_ln.bias", 0, _VISION_WIDTH)
    merged = _VISION_WIDTH * _MERGE**2
    writer.linear("mm.0", merged, merged)
    writer.linear("mm.2", _WIDTH, merged)
    writer.write()


class _Writer(gguf.GGUFWriter):
    """A GGUF file of random tensors."""

    def __init__(self, path: Path, architecture: str, seed: str, tensors_a_part: int = 0) -> None:
        self._hidden = path.with_name(f".{path.name}")
        super().__init__(self._hidden, architecture, split_max_tensors=tensors_a_part)
        self._random = np.random.default_rng(zlib.crc32(seed.encode()))

    def random(self, name: str, *shape: int) -> None:
        values = self._random.standard_normal(shape) * _SPREAD
        self.add_tensor(name, values.astype(np.float32))

    def spoken(self, name: str, unspoken: int, spoken: int, width: int) -> None:
        """Add rows of tokens that only a grammar can ask for, then rows of the other tokens."""
        values = self._random.standard_normal((spoken, width)) * _OUTPUT_SPREAD
        rows = np.concatenate([np.zeros((unspoken, width)), values])
        labels = [_FIRST_BYTE + ord(label) for label in _LABELS]
        rows[labels] = self._random.standard_normal((len(labels), width)) * _LABEL_SPREAD
        self.add_tensor(name, rows.astype(np.float32))

    def constant(self, name: str, value: float, width: int) -> None:
        self.add_tensor(name, np.full(width, value, np.float32))

    def linear(self, name: str, outputs: int, inputs: int) -> None:
        self.random(f"{name}.weight", outputs, inputs)
        self.constant(f"{name}.bias", 0, outputs)

    def write(self) -> None:
        """Write the files and rename them at the end: a killed run leaves no partial file."""
        self.write_header_to_file()
        self.write_kv_data_to_file()
        self.write_tensors_to_file()
        self.close()
        for hidden in self.format_shard_names(self._hidden):
            hidden.replace(hidden.with_name(hidden.name.removeprefix(".")))


def _add_tokenizer(writer: Any) -> int:
    """Add a tokenizer of bytes and syllables; return the number of tokens before the syllables."""
    special = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
    control, unknown, byte = gguf.TokenType.CONTROL, gguf.TokenType.UNKNOWN, gguf.TokenType.BYTE
    tokens = [("<unk>", unknown), ("<s>", control), ("</s>", control)]
    tokens += [(f"<0x{value:02X}>", byte) for value in range(256)]
    tokens += [(name, control) for name in special]
    unspoken = len(tokens)
    tokens += [(syllable, gguf.TokenType.NORMAL) for syllable in _SYLLABLES]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([name for name, _ in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    # With the space, a grammar cannot start after the generation prompt.
    writer.add_add_space_prefix(False)
    writer.add_chat_template(_TEMPLATE)
    return unspoken
