"""The facts of a GGUF file's header that the budget needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
"""The name of an architecture, of a projector's type or of a tensor's."""
_MOST = 2**48
"""Above any true count or number of bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsHeader:
    """The shape of a language model; counts of elements where the name has no unit.

    A number that differs by layer is the largest of them, and 0 where the file has none: a
    mixture of experts has no `feed_forward`, a recurrent model no `heads`.
    """

    architecture: str
    """`general.architecture`, such as `qwen3vl`."""
    layers: int
    """`block_count`."""
    width: int
    """`embedding_length`."""
    feed_forward: int
    """`feed_forward_length`."""
    heads: int
    """`attention.head_count`."""
    kv_heads: int
    """`attention.head_count_kv`."""
    key_size: int
    """`attention.key_length` of one head."""
    value_size: int
    """`attention.value_length` of one head."""
    vocabulary: int
    train_context: int
    """`context_length` in tokens; llama-server silently caps a larger context."""
    deepstack_layers: int
    """`n_deepstack_layers`: layers with image features of their own; 0 for none."""
    output_tied: bool
    """Whether output.weight is missing: the token embedding is then copied to the GPU too."""
    tensor_bytes: int
    """Bytes of all tensors, of all files of a split model."""
    token_embedding_bytes: int
    """Bytes of token_embd.weight, which stays in host memory."""
    tensor_types: tuple[str, ...]
    """Types of the tensors, such as `Q4_K`, the one of most bytes first."""
    parts: int = 1
    """`split.count`: files of a split model; 1 for a whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorHeader:
    """The shape of a projector (mmproj), with numbers as those of the weights."""

    projector_type: str
    """`clip.projector_type`, such as `qwen3vl_merger` or `resampler`."""
    output_width: int
    """`clip.vision.projection_dim`, equal to the width of its language model."""
    layers: int
    width: int
    feed_forward: int
    heads: int
    image_px: int
    patch_px: int
    merge: int
    """`clip.vision.spatial_merge_size`: patches on each side of one token (default, as in
    llama.cpp: 2 for Qwen's mergers, 1 for the others)."""
    deepstack_layers: int
    tensor_bytes: int
    tensor_types: tuple[str, ...]
    """As those of the weights."""


def counts(field: str) -> range:
    """Range of the numbers that a field of a header accepts."""
    return range(1 if field in ("tensor_bytes", "parts") else 0, _MOST + 1)
