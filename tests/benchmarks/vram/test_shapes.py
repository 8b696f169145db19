"""The shapes without data against what llama.cpp logged of published files."""

from __future__ import annotations

from collections import Counter
from math import prod

import pytest
from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.shapes.file_types import tensor_bytes, typed
from benchmarks.vram.shapes.published import PUBLISHED

BY_NAME = {published.name: published for published in PUBLISHED}

Q4_K_M = {
    # ggml-org/llama.cpp#12907
    "gemma-3-4b": {Kind.F32: 205, Kind.Q4_K: 204, Kind.Q6_K: 35},
    # ggml-org/llama.cpp#10973, of Qwen2-VL 7B, which has the same language model
    "qwen2-5vl-7b": {Kind.F32: 141, Kind.Q4_K: 169, Kind.Q6_K: 29},
    # ggml-org/llama.cpp#18164; rows of 13696 elements fill no blocks of 256
    "glm-4-6v-flash": {
        Kind.F32: 281, Kind.Q5_0: 20, Kind.Q8_0: 20, Kind.Q4_K: 181, Kind.Q6_K: 21,
    },
}  # fmt: skip
"""Tensors of each type."""
GIB = {"gemma-3-4b": 2.31, "glm-4-6v-flash": 5.73}
"""File sizes of the same logs."""
BILLIONS = {
    # JamePeng/llama-cpp-python#78
    "qwen3-5-9b": 8.95,
    # ggml-org/llama.cpp#12053
    "granite-vision-3-2-2b": 2.53,
    # lmstudio-ai/lmstudio-bug-tracker#585
    "qwen2-5vl-3b": 3.09,
}
"""Parameters of the language model."""


@pytest.mark.parametrize("name", Q4_K_M)
def test_types_are_those_of_the_published_file(name: str) -> None:
    assert Counter(kind for _, kind in typed(BY_NAME[name].text, "Q4_K_M")) == Q4_K_M[name]


@pytest.mark.parametrize("name", GIB)
def test_size_is_that_of_the_published_file(name: str) -> None:
    size = sum(tensor_bytes(*pair) for pair in typed(BY_NAME[name].text, "Q4_K_M"))
    assert size / 2**30 == pytest.approx(GIB[name], abs=0.005)


@pytest.mark.parametrize("name", BILLIONS)
def test_parameters_are_those_of_the_published_model(name: str) -> None:
    parameters = sum(prod(tensor.rows) for tensor in BY_NAME[name].text.tensors)
    assert parameters / 1e9 == pytest.approx(BILLIONS[name], abs=0.005)


def test_there_are_models_of_many_architectures_and_projectors() -> None:
    assert len(BY_NAME) == len(PUBLISHED) == 24
    assert len({published.text.architecture for published in PUBLISHED}) == 15
    assert len({published.tower.keys["projector_type"] for published in PUBLISHED}) == 14
