"""What the pinned llama-server makes of a model: nothing, something else, or silence.

Each check stands for a failure that the engine itself reports late, or not at all.
"""

from __future__ import annotations

from llama_swap_config.fit.vram import is_unified
from llama_swap_config.flags import spelling, switched_on
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model

FIRST_BUILD = {"qwen3": 10524, "qwen3vl": 10524}
"""Architecture -> a build of llama.cpp from which on all of it is known to hold.

An older build answers a newer architecture with fluent nonsense and no error (llama.cpp #27164).
These two are older than 10524, but the flags that are rendered and the compute buffer that
fit/vram.py predicts are known from there on. A hybrid with recurrent layers, sliding windows or
experts has another KV cache, and needs its formula there first.
"""
_BLOCK = 32
"""Elements of a quantised block: a row of the cache is a whole number of them."""


def check_engine(locked: LockedModel, *, engine_build: int, gpu_layers: int) -> None:
    """Refuse what the engine would do wrong, or do differently from what the registry says.

    Args:
        locked: A model and its headers.
        engine_build: The build of llama.cpp in the image.
        gpu_layers: `-ngl`.

    Raises:
        ConfigError: naming the model, the field and the way out.
    """
    model, weights = locked.model, locked.weights_header
    _check_architecture(model, weights, engine_build)
    if gpu_layers <= weights.layers:
        raise model.error(
            "gpu_layers", gpu_layers,
            f"at least {weights.layers + 1}: all layers and the output on the card",
            "raise llama_swap.server.gpu_layers in stacks/production.py",
        )  # fmt: skip
    if locked.projector_header is not None:
        _check_projector(model, weights, locked.projector_header)
    _check_context(model, weights)
    _check_flags(model)
    _check_kv_cache(model, weights)


def _check_architecture(model: Model, weights: WeightsHeader, engine_build: int) -> None:
    first = FIRST_BUILD.get(weights.architecture)
    if first is None:
        raise model.error(
            "architecture", weights.architecture, ", ".join(FIRST_BUILD),
            "add it with its first build to llama_swap_config/fit/engine.py, after a look at "
            "what its KV cache holds",
        )  # fmt: skip
    if engine_build < first:
        raise model.error(
            "architecture", weights.architecture,
            f"what build {engine_build} of llama.cpp knows; this one needs {first}",
            "pin a newer llama_swap_image and its engine_build",
        )  # fmt: skip


def _check_projector(model: Model, weights: WeightsHeader, projector: ProjectorHeader) -> None:
    for name, value, wanted in (
        ("output width", projector.output_width, weights.width),
        ("deepstack layers", projector.deepstack_layers, weights.deepstack_layers),
    ):
        if value != wanted:
            raise model.error(
                f"projector's {name}", value, f"the weights' own, {wanted}",
                "lock the projector of the same model",
            )  # fmt: skip


def _check_context(model: Model, weights: WeightsHeader) -> None:
    slots = 1 if is_unified(model) else model.parallel_slots
    if model.context // slots > weights.train_context:
        raise model.error(
            "context", model.context,
            f"at most {weights.train_context * slots}, what the model was trained for "
            f"({weights.train_context}) in each slot: llama-server caps it without a word",
            "lower it",
        )  # fmt: skip


def _check_flags(model: Model) -> None:
    if switched_on(model.extra_args, "--no-kv-offload"):
        raise model.error(
            "extra_args", "--no-kv-offload", "the KV cache on the card",
            "remove it: attention would run on the CPU; lower context or quantise the cache",
        )  # fmt: skip
    if "--embedding" in map(spelling, model.extra_args) and "--pooling" not in model.extra_args:
        raise model.error(
            "extra_args", "--embedding", "--embedding with --pooling",
            "add --pooling and the kind that the model's card names",
        )  # fmt: skip


def _check_kv_cache(model: Model, weights: WeightsHeader) -> None:
    # The model has checked that both types are alike: a mixed cache has no fused kernel.
    if model.kv_cache_type_k in ("f16", "bf16"):
        return
    for name, size in (("key", weights.key_size), ("value", weights.value_size)):
        if size % _BLOCK:
            raise model.error(
                f"kv_cache_type_{name[0]}", model.kv_cache_type_k,
                f"f16, bf16: its {name}s have {size} elements a head, no multiple of {_BLOCK}",
                "choose one of them",
            )  # fmt: skip


def can_quantise_kv(weights: WeightsHeader) -> bool:
    """Whether q8_0 and q4_0 can hold a head of this model."""
    return weights.key_size % _BLOCK == 0 and weights.value_size % _BLOCK == 0
