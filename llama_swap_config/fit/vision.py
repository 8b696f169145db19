"""What a vision projector computes in, beside its weights."""

from __future__ import annotations

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.header import ProjectorHeader

WARM_UP_TOKENS = 2116
"""An image of 46 x 46 tokens, which llama-server reserves at its start whatever the limit is; a
larger image makes the buffer grow when it comes. Source: `set_warmup_n_tokens`, measured."""
_WARM_UP_WITHIN_LIMIT = 11434
"""A build whose warm-up stays below the operator's limit; it may have begun earlier."""
_RESAMPLER_BYTES = round(62.81 * 2**20)
"""One slice of 448 x 448 px; a larger image is more slices, one after the other. Measured for the
tower of MiniCPM-V 4.5 (27 layers, width 1152), the only one of the kind that is known here."""
_MERGED = "qwen3vl_merger"
_RESAMPLED = "resampler"
_WIDEST = 1.2
"""Output width a patch, in widths of the tower, up to which the formula was measured."""


def image_tokens(image_max_tokens: int, engine_build: int) -> int:
    """Tokens of the largest image that the tower's buffer ever holds, the warm-up's included."""
    if engine_build >= _WARM_UP_WITHIN_LIMIT:
        return image_max_tokens
    return max(WARM_UP_TOKENS, image_max_tokens)


def vision_compute_bytes(projector: ProjectorHeader, tokens: int) -> int:
    """Bytes of the tower's compute buffer with flash attention.

    The picture and its positions, and the largest of three moments: attention, a deepstack layer's
    projection, the feed-forward network; beside each wait the features of earlier deepstack
    layers. Found by measuring 20 shapes with build 11434: equal to 0.01 % for both Qwen3-VL (also
    372.08 MiB in a CUDA log) and 15 more, 1 % above at a 32B's output of 5120; 5 to 10 % above for
    towers of width 768 and less, which use the picture's part again.

    Args:
        projector: The header of the mmproj file.
        tokens: Of the largest image, as `image_tokens` says.

    Raises:
        ConfigError: for a shape or a type of projector that nobody has measured.
    """
    if projector.projector_type == _RESAMPLED:
        return _RESAMPLER_BYTES
    if projector.projector_type != _MERGED:
        raise ConfigError.of(
            "projector", "projector_type", projector.projector_type,
            allowed=f"{_MERGED}, {_RESAMPLED}: the ones whose compute buffer is known",
            remedy="measure it and add its formula to llama_swap_config/fit/vision.py",
        )  # fmt: skip
    patches, waiting = projector.merge**2, projector.deepstack_layers
    if projector.output_width > _WIDEST * patches * projector.width:
        raise ConfigError.of(
            "projector", "output_width", projector.output_width,
            allowed=f"at most {_WIDEST * patches:g} times its own width ({projector.width}): "
            "above it the formula was 7 % too low",
            remedy="measure it and correct llama_swap_config/fit/vision.py",
        )  # fmt: skip
    width = patches * projector.width
    attention = (6 + waiting) * width
    projection = (1 + waiting) * width + 6 * projector.output_width if waiting > 1 else 0
    feed_forward = patches * projector.feed_forward + (2 + waiting) * width
    picture = patches * (3 * projector.patch_px**2 + 4)
    floats = picture + max(attention, projection, feed_forward)
    return 4 * floats * tokens
