"""The tests' frozen registry, independent of the operator's edits."""

from __future__ import annotations

from llama_swap_config.fit.residency import OneAtATime, Residency
from llama_swap_config.model import Model

REGISTRY: tuple[Model, ...] = (
    Model(
        id="qwen3vl-8b",
        repository="Qwen/Qwen3-VL-8B-Instruct-GGUF",
        quantisation="Q4_K_M",
        name="Qwen3-VL 8B Instruct",
        description="The strongest of the three on photos; general image questions.",
    ),
    Model(
        id="minicpm-v-4-5",
        repository="openbmb/MiniCPM-V-4_5-gguf",
        quantisation="Q4_K_M",
        name="MiniCPM-V 4.5",
        description="Few tokens an image, so short prompts; reads documents and text in images.",
        image_max_tokens=640,
    ),
    Model(
        id="qwen3vl-4b",
        repository="Qwen/Qwen3-VL-4B-Instruct-GGUF",
        quantisation="Q4_K_M",
        name="Qwen3-VL 4B Instruct",
        description="Half the size of the 8B and the fastest to swap in.",
    ),
)

RESIDENCY: Residency = OneAtATime()
