"""The type of each tensor in a file, as llama.cpp's converter and llama-quantize choose it."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Literal

from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.shapes.shape import Shape, Tensor

FileType = Literal["F32", "F16", "Q8_0", "Q4_K_M"]
Typed = tuple[Tensor, Kind]
_NEVER_QUANTISED = ("ffn_gate_inp.", "ssm_conv1d.", "shortconv.conv.")
_NEEDS_F16_OR_F32 = (".patch_embd.", ".patch_merger.")
_INSTEAD = {Kind.Q4_K: Kind.Q5_0, Kind.Q6_K: Kind.Q8_0, Kind.Q5_K: Kind.Q5_1}
"""Types of small blocks, for rows that do not fill blocks of 256 elements."""


def typed(shape: Shape, file_type: FileType) -> Iterator[Typed]:
    """Return each tensor of a file with its type."""
    mixed = _mixed(shape) if file_type == "Q4_K_M" else {}
    for tensor in shape.tensors:
        name, rows, kind = tensor
        if kind is not None:
            chosen = kind
        elif len(rows) < 2 or any(part in name for part in _NEVER_QUANTISED):
            chosen = Kind.F32
        elif any(part in name for part in _NEEDS_F16_OR_F32):
            chosen = Kind.F16 if file_type == "F16" else Kind.F32
        else:
            wanted = mixed[name] if mixed else Kind[file_type]
            chosen = _fitting(wanted, rows[-1])
        yield tensor, chosen


def tensor_bytes(tensor: Tensor, kind: Kind) -> int:
    """Return the bytes of a tensor's data."""
    block, block_bytes = GGML_QUANT_SIZES[kind]
    return prod(tensor.rows) // block * block_bytes


def _fitting(kind: Kind, row: int) -> Kind:
    """Return the type for rows of that many elements, which have to fill whole blocks."""
    if row % GGML_QUANT_SIZES[kind][0]:
        kind = _INSTEAD.get(kind, kind)
    return kind if row % GGML_QUANT_SIZES[kind][0] == 0 else Kind.F16


def _mixed(shape: Shape) -> dict[str, Kind]:
    """Return the types of a Q4_K_M: some values and some last matrices are finer."""
    names = [tensor.name for tensor in shape.tensors if len(tensor.rows) > 1]
    kinds = dict.fromkeys(names, Kind.Q4_K)
    embedding = "token_embd.weight"
    tied = "output.weight" not in kinds
    for name in ("output.weight",) if not tied else (embedding, "per_layer_token_embd.weight"):
        if name in kinds:
            kinds[name] = Kind.Q6_K
    fused = [name for name in names if name.endswith("attn_qkv.weight")]
    kinds |= dict.fromkeys(fused, Kind.Q5_K)
    values = [name for name in names if name.endswith(("attn_v.weight", "attn_qkv.weight"))]
    for index, name in enumerate(values):
        if name not in fused and _is_finer(index, len(values)):
            kinds[name] = Kind.Q6_K
    layers = shape.number("block_count")
    for name in names:
        if ".ffn_down" in name and _is_finer(int(name.split(".")[1]), layers):
            kinds[name] = Kind.Q6_K
    return kinds


def _is_finer(index: int, count: int) -> bool:
    eighth = count // 8
    return index < eighth or index >= 7 * count // 8 or (index - eighth) % 3 == 2
