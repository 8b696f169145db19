"""What a vision projector computes in, beside its weights."""

from __future__ import annotations

from llama_swap_config.errors import ConfigError
from llama_swap_config.header import ProjectorHeader

WARM_UP_TOKENS = 2116
"""llama-server reserves an image of 46 x 46 tokens at its start, whatever the limit is; a larger
image makes the buffer grow when it comes. Source: `set_warmup_n_tokens`, measured."""
_RESAMPLER_BYTES = round(62.81 * 2**20)
"""One slice of 448 x 448 px; a larger image is more slices, one after the other. Measured for the
tower of MiniCPM-V 4.5 (27 layers, width 1152), the only one of the kind that is known here."""
_MERGED = "qwen3vl_merger"
_RESAMPLED = "resampler"


def vision_compute_bytes(projector: ProjectorHeader, image_max_tokens: int) -> int:
    """Bytes of the tower's compute buffer with flash attention.

    Measured with build 10524: 0.17584 MiB a token at width 1152 (and 372.08 MiB in a CUDA log),
    0.15240 at 1024. Both are 9 widths, one output width a token and 132 floats a patch to 0.01 %.
    Two shapes make no law: for a third one this is an extrapolation.

    Args:
        projector: The header of the mmproj file.
        image_max_tokens: The operator's limit of an image.

    Raises:
        ConfigError: for a type of projector that nobody has measured.
    """
    if projector.projector_type == _RESAMPLED:
        return _RESAMPLER_BYTES
    if projector.projector_type != _MERGED:
        raise ConfigError.of(
            "projector", "projector_type", projector.projector_type,
            allowed=f"{_MERGED}, {_RESAMPLED}: the ones whose compute buffer is known",
            remedy="measure it and add its formula to llama_swap_config/vision_tower.py",
        )  # fmt: skip
    patches = projector.merge**2
    floats = patches * (9 * projector.width + 132) + projector.output_width
    return 4 * floats * max(WARM_UP_TOKENS, image_max_tokens)
