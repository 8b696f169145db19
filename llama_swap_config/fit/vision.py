"""The compute buffer of a vision projector."""

from __future__ import annotations

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.header import ProjectorHeader

WARM_UP_TOKENS = 2116
"""An image of 46 x 46 tokens, for which llama-server reserves memory at its start whatever the
limit is; the buffer grows with the first larger image. Source: `set_warmup_n_tokens`, measured."""
_WARM_UP_WITHIN_LIMIT = 11434
"""A build whose warm-up respects the operator's limit; earlier builds may do so too."""
_RESAMPLER_BYTES = round(62.81 * 2**20)
"""One slice of 448 x 448 px; a larger image is processed slice by slice. Measured for the tower of
MiniCPM-V 4.5 (27 layers, width 1152), the only tower of its kind that is known here."""
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


def vision_compute_bytes(projector: ProjectorHeader, tokens: int) -> int:
    """Compute the bytes of the tower's compute buffer with flash attention.

    It holds the image and its positions, and the largest of three phases: attention, a deepstack
    layer's projection, the feed-forward network. The features of earlier deepstack layers are kept
    through each phase. Found by measuring 20 shapes with build 11434: equal to 0.01 % for both
    Qwen3-VL (also 372.08 MiB in a CUDA log) and 15 more, 1 % above at a 32B's output of 5120; 5 to
    10 % above for towers of width 768 and less, which reuse the image's part.

    Args:
        projector: The header of the mmproj file.
        tokens: Tokens of the largest image, from `image_tokens`.

    Raises:
        ConfigError: when nobody has measured the projector's type or shape.
    """
    if projector.projector_type == _RESAMPLED:
        return _RESAMPLER_BYTES
    if projector.projector_type != _MERGED:
        raise ConfigError.of(
            "projector", "projector_type", projector.projector_type,
            expected=f"{_MERGED} or {_RESAMPLED}, whose compute buffers are known",
            remedy="Measure it and add its formula to llama_swap_config/fit/vision.py",
        )  # fmt: skip
    patches, waiting = projector.merge**2, projector.deepstack_layers
    if projector.output_width > _WIDEST * patches * projector.width:
        raise ConfigError.of(
            "projector", "output_width", projector.output_width,
            expected=f"at most {_WIDEST * patches:g} times its width ({projector.width}): "
            "above that the formula was 7 % too low",
            remedy="Measure it and correct llama_swap_config/fit/vision.py",
        )  # fmt: skip
    width = patches * projector.width
    attention = (6 + waiting) * width
    projection = (1 + waiting) * width + 6 * projector.output_width if waiting > 1 else 0
    feed_forward = patches * projector.feed_forward + (2 + waiting) * width
    picture = patches * (3 * projector.patch_px**2 + 4)
    floats = picture + max(attention, projection, feed_forward)
    return 4 * floats * tokens
