"""The compute buffer of a vision projector."""

from __future__ import annotations

from llama_swap_config.lock.header import ProjectorHeader

WARM_UP_TOKENS = 2116
"""An image of 46 x 46 tokens, for which llama-server reserves memory at its start whatever the
limit is; the buffer grows with the first larger image. Source: `set_warmup_n_tokens`, measured."""
_WARM_UP_WITHIN_LIMIT = 11434
"""A build whose warm-up respects the operator's limit; earlier builds may do so too."""
_RESAMPLER_BYTES = round(62.81 * 2**20)
"""One slice of 448 x 448 px; a larger image is processed slice by slice. Measured for the tower of
MiniCPM-V 4.5, the only tower of its kind that is known here."""
_RESAMPLED_TOWER = (27, 1152)
"""Its layers and width."""
_MERGED = "qwen3vl_merger"
_RESAMPLED = "resampler"
_WIDEST = 1.2
"""Largest output width for each patch, in widths of the tower, for which the formula was
measured."""


def image_tokens(image_max_tokens: int, engine_build: int) -> int:
    """Tokens of the largest image in the tower's buffer, including the warm-up's."""
    if engine_build >= _WARM_UP_WITHIN_LIMIT:
        return image_max_tokens
    return max(WARM_UP_TOKENS, image_max_tokens)


def vision_has_formula(projector: ProjectorHeader) -> bool:
    """Whether `vision_compute_bytes` was found equal to the engine for such a tower."""
    if projector.projector_type == _RESAMPLED:
        return (projector.layers, projector.width) == _RESAMPLED_TOWER
    widest = _WIDEST * projector.merge**2 * projector.width
    return projector.projector_type == _MERGED and projector.output_width <= widest


def vision_compute_bytes(projector: ProjectorHeader, tokens: int) -> int:
    """Compute the bytes of the compute buffer, with flash attention, of a tower with a formula.

    It holds the image and its positions, and the largest of three phases: attention, a deepstack
    layer's projection, the feed-forward network. The features of earlier deepstack layers are kept
    through each phase. Found by measuring 20 shapes with build 11434: equal to 0.01 % for both
    Qwen3-VL (also 372.08 MiB in a CUDA log) and 15 more, 1 % above at a 32B's output of 5120; 5 to
    10 % above for towers of width 768 and less, which reuse the image's part.

    Args:
        projector: The header of the mmproj file.
        tokens: Tokens of the largest image, from `image_tokens`.
    """
    if projector.projector_type == _RESAMPLED:
        return _RESAMPLER_BYTES
    patches, waiting = projector.merge**2, projector.deepstack_layers
    width = patches * projector.width
    attention = (6 + waiting) * width
    projection = (1 + waiting) * width + 6 * projector.output_width if waiting > 1 else 0
    feed_forward = patches * projector.feed_forward + (2 + waiting) * width
    picture = patches * (3 * projector.patch_px**2 + 4)
    floats = picture + max(attention, projection, feed_forward)
    return 4 * floats * tokens
