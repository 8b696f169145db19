"""Headers and locked models for the budget's tests; the shapes are those of published files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedFile, LockedModel
from llama_swap_config.model import Model
from tests.declaration.frozen import DECLARATION

LIKELY = Card(product="Tesla-T4", cuda_context_mib=125, vision_pools_mib=0)
"""A T4 with what its CUDA context most likely takes, not what a budget allows for it."""


def on(card: Card, *, engine_build: int = 10524) -> Machine:
    """The card under the build of the pinned image."""
    return Machine(card=card, engine_build=engine_build)


LIKELY_T4 = on(LIKELY)
NEWER_T4 = on(LIKELY, engine_build=11434)
T4 = on(Card(product="Tesla-T4"))

_LOCKED = {each.model.id: each for each in DECLARATION.locked}
QWEN3VL_8B, QWEN3VL_4B, MINICPM = (
    _LOCKED[each] for each in ("qwen3vl-8b", "qwen3vl-4b", "minicpm-v-4-5")
)
QWEN3_8B = replace(QWEN3VL_8B.weights_header, architecture="qwen3", deepstack_layers=0)
QWEN3_4B = replace(QWEN3VL_4B.weights_header, architecture="qwen3", deepstack_layers=0)
"""Their tensors are those of the vision models' language parts."""

PUBLISHED_Q8_0_BYTES = {"qwen3vl-8b": 752_289_728, "qwen3vl-4b": 453_974_304}
"""The Q8_0 projectors beside the F16 ones."""


def text_model(id: str, weights: WeightsHeader, **fields: Any) -> LockedModel:
    """A model without a projector, in files as large as its tensors."""
    base: dict[str, Any] = {"quantisation": "Q4_K_M", "projector": None, "image_max_tokens": None}
    model = Model(id=id, repository="owner/name", **(base | fields))
    return LockedModel(model=model, weights=file_of(weights, id), projector=None)


def file_of(header: WeightsHeader | ProjectorHeader, name: str) -> LockedFile:
    """A file of a header's bytes."""
    is_model = isinstance(header, WeightsHeader)
    return LockedFile(
        role="model" if is_model else "mmproj",
        repository="owner/name",
        revision="main",
        name=f"{name}.gguf",
        quantisation="Q4_K_M" if is_model else "F16",
        size_bytes=header.tensor_bytes,
        sha256=f"{abs(hash((name, is_model))):064x}",
        header=header,
        header_source="made up",
    )


def changed(locked: LockedModel, **fields: Any) -> LockedModel:
    """The model with some of the operator's fields replaced."""
    return replace(locked, model=replace(locked.model, **fields))


def with_header(locked: LockedModel, **fields: Any) -> LockedModel:
    """The model with some facts of its weights' header replaced."""
    header = replace(locked.weights_header, **fields)
    return replace(locked, weights=replace(locked.weights, header=header))


def with_projector(locked: LockedModel, **fields: Any) -> LockedModel:
    """The model with some facts of its projector's header replaced."""
    assert locked.projector is not None
    header = replace(locked.projector.header, **fields)
    return replace(locked, projector=replace(locked.projector, header=header))


def with_q8_0_projector(locked: LockedModel) -> LockedModel:
    """The model with the published Q8_0 projector; its file is its tensors to 20 KB."""
    smaller = with_projector(locked, tensor_bytes=PUBLISHED_Q8_0_BYTES[locked.model.id])
    return changed(smaller, projector="Q8_0")
