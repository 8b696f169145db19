"""GGUF files whose tensors are holes: a header and a length.

llama-server reserves as much for them as for a model of that shape, and they take no disk space.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

Tensors = Iterator[tuple[str, tuple[int, ...], Kind]]
"""Name, shape with the rows first, and type of each."""


def write_holes(writer: gguf.GGUFWriter, path: Path, tensors: Tensors) -> None:
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
