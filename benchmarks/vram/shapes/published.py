"""The published models, each as two files without data."""

from __future__ import annotations

from benchmarks.vram.shapes import (
    gemma,
    glm,
    granite,
    internvl,
    kimi,
    lfm,
    llama,
    minicpm,
    mistral,
    qwen,
)
from benchmarks.vram.shapes.shape import Published

WITH_FORMULA = (qwen.QWEN3VL_8B, qwen.QWEN3VL_4B, minicpm.MINICPM_V_4_5)
"""Those for which the budget's formula is proven."""
PUBLISHED: tuple[Published, ...] = (
    *WITH_FORMULA,
    *qwen.OTHERS,
    *gemma.OTHERS,
    *minicpm.OTHERS,
    *llama.OTHERS,
    *mistral.OTHERS,
    *internvl.OTHERS,
    *glm.OTHERS,
    *granite.OTHERS,
    *kimi.OTHERS,
    *lfm.OTHERS,
)
