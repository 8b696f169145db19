"""Headers and locked models for the budget's tests, with the shapes of published files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedFile, LockedModel
from llama_swap_config.model import Model
from tests.declaration.frozen import DECLARATION

LIKELY = Card(product="Tesla-T4", cuda_context_mib=125, vision_pools_mib=0)
"""A T4 with the likely size of its CUDA context, without the budget's allowance."""


def on(card: Card, *, engine_build: int = 10524) -> Machine:
    """The card with the pinned image's build."""
    return Machine(card=card, engine_build=engine_build)


LIKELY_T4 = on(LIKELY)
NEWER_T4 = on(LIKELY, engine_build=11434)
T4 = on(Card(product="Tesla-T4"))

_LOCKED = {locked_model.model.id: locked_model for locked_model in DECLARATION.locked}
QWEN3VL_8B, QWEN3VL_4B, MINICPM = (
    _LOCKED[each] for each in ("qwen3vl-8b", "qwen3vl-4b", "minicpm-v-4-5")
)
QWEN3_8B = replace(QWEN3VL_8B.weights_header, architecture="qwen3", deepstack_layers=0)
QWEN3_4B = replace(QWEN3VL_4B.weights_header, architecture="qwen3", deepstack_layers=0)
"""The language parts of the vision models."""

PUBLISHED_Q8_0_BYTES = {"qwen3vl-8b": 752_289_728, "qwen3vl-4b": 453_974_304}
"""The Q8_0 projectors beside the F16 ones."""


def text_model(id: str, weights: WeightsHeader, **fields: Any) -> LockedModel:
    """Make a model without a projector."""
    base: dict[str, Any] = {"quantisation": "Q4_K_M", "projector": None, "image_max_tokens": None}
    model = Model(id=id, repository="owner/name", **(base | fields))
    return LockedModel(model=model, weights=(file_of(weights, id),), projector=None)


def file_of(header: WeightsHeader | ProjectorHeader, name: str) -> LockedFile:
    """Make a file of the header's size."""
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
    """Replace fields of the model."""
    return replace(locked, model=replace(locked.model, **fields))


def with_header(locked: LockedModel, **fields: Any) -> LockedModel:
    """Replace fields of the weights' header."""
    header = replace(locked.weights_header, **fields)
    weights = (replace(locked.weights[0], header=header),)
    return replace(locked, weights=weights, memory=())


def with_projector(locked: LockedModel, **fields: Any) -> LockedModel:
    """Replace fields of the projector's header."""
    assert locked.projector is not None
    assert locked.projector_header is not None
    header = replace(locked.projector_header, **fields)
    return replace(locked, projector=replace(locked.projector, header=header), memory=())


def with_q8_0_projector(locked: LockedModel) -> LockedModel:
    """Use the published Q8_0 projector, whose file exceeds its tensors by 20 KB."""
    smaller = with_projector(
        locked, tensor_bytes=PUBLISHED_Q8_0_BYTES[locked.model.id], tensor_types=("Q8_0", "F32")
    )
    return changed(smaller, projector="Q8_0")
