"""GGUF files whose tensors are holes: a header and a length.

llama-server reserves as much for them as for a model of that shape, and they take no disk space.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFValueType as ValueType

from benchmarks.vram.shapes.file_types import FileType, tensor_bytes, typed
from benchmarks.vram.shapes.shape import Shape, Value

_SPECIAL = (
    "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<image>", "</image>", "<slice>", "</slice>", "<fake_token_around_image>", "<global-img>",
    "\n\n",
)  # fmt: skip
"""Those that llama.cpp puts around a picture are looked up by their text."""


def write_holes(path: Path, shape: Shape, file_type: FileType) -> None:
    """Write the header, and make the file as long as its tensors would make it."""
    writer = header_of(path, shape)
    data_bytes = 0
    for tensor, kind in typed(shape, file_type):
        size = tensor_bytes(tensor, kind)
        unused = np.dtype(np.float32)
        writer.add_tensor_info(tensor.name, tensor.rows, unused, size, raw_dtype=kind)
        data_bytes += gguf.GGUFWriter.ggml_pad(size, writer.data_alignment)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    header_bytes = gguf.GGUFWriter.ggml_pad(path.stat().st_size, writer.data_alignment)
    with path.open("r+b") as file:
        file.truncate(header_bytes + data_bytes)


def header_of(path: Path, shape: Shape) -> gguf.GGUFWriter:
    """Return a writer that has the keys and the tokens of a shape, but no tensor."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    if shape.architecture == "clip":
        writer.add_type(gguf.GGUFType.MMPROJ)
    for key, value in shape.keys.items():
        is_signed = key == shape.signed_key
        writer.add_key_value(
            f"{shape.architecture}.{key}",
            list(value) if isinstance(value, tuple) else value,
            ValueType.INT32 if is_signed else _type_of(value),
        )
    if shape.vocabulary:
        _add_tokenizer(writer, shape.vocabulary)
    return writer


def _type_of(value: Value) -> ValueType:
    if isinstance(value, tuple):
        return ValueType.ARRAY
    if isinstance(value, bool):
        return ValueType.BOOL
    return ValueType.UINT32 if isinstance(value, int) else ValueType.get_type(value)


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
