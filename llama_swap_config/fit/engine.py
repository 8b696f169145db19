"""What the pinned llama-server would do wrong with a model.

Each check stands for a failure that the engine reports late or never.
"""

from __future__ import annotations

from llama_swap_config.fit.vram import is_unified
from llama_swap_config.flags import spelling, switched_on
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model

FIRST_BUILD = {"qwen3": 10524, "qwen3vl": 10524}
"""Architecture -> the first build of llama.cpp that is known to support it.

An older build answers with fluent nonsense and no error (llama.cpp #27164), or serves these models
wrongly (#16962, #18444). Both architectures are older than 10524, but the rendered flags and the
compute buffer of fit/vram.py are verified only from that build on. qwen3moe has no entry: no build
is known to be free of #20899, which refuses its projector (ADR 26). A hybrid with recurrent
layers, sliding windows or experts has another KV cache and needs its formula in fit/vram.py first.
"""
_BLOCK = 32
"""Elements of a quantised block; a row of the cache is a whole number of blocks."""


def check_engine(locked: LockedModel, *, engine_build: int, gpu_layers: int) -> None:
    """Check that the engine serves a model as the registry declares it.

    Args:
        locked: A model and its headers.
        engine_build: Build of llama.cpp in the image.
        gpu_layers: `-ngl`.

    Raises:
        ConfigError: when it does not; names the model, the field and the remedy.
    """
    model, weights = locked.model, locked.weights_header
    _check_architecture(model, weights, engine_build)
    if gpu_layers <= weights.layers:
        raise model.error(
            "gpu_layers", gpu_layers,
            f"at least {weights.layers + 1} (all layers and the output on the card)",
            "Raise llama_swap.server.gpu_layers in stacks/production.py",
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
            "architecture", weights.architecture, f"one of {', '.join(FIRST_BUILD)}",
            "Add it with its first build to llama_swap_config/fit/engine.py after checking its "
            "KV cache",
        )  # fmt: skip
    if engine_build < first:
        raise model.error(
            "architecture", weights.architecture,
            f"one that build {engine_build} of llama.cpp supports; this one needs {first}",
            "Pin a newer llama_swap_image and its engine_build",
        )  # fmt: skip


def _check_projector(model: Model, weights: WeightsHeader, projector: ProjectorHeader) -> None:
    for name, value, wanted in (
        ("output width", projector.output_width, weights.width),
        ("deepstack layers", projector.deepstack_layers, weights.deepstack_layers),
    ):
        if value != wanted:
            raise model.error(
                f"projector's {name}", value, f"{wanted}, as in the weights",
                "Lock the projector of the same model",
            )  # fmt: skip


def _check_context(model: Model, weights: WeightsHeader) -> None:
    slots = 1 if is_unified(model) else model.parallel_slots
    if model.context // slots > weights.train_context:
        raise model.error(
            "context", model.context,
            f"at most {weights.train_context * slots}: the model was trained for "
            f"{weights.train_context} tokens a slot, and llama-server caps the context silently",
            "Lower it",
        )  # fmt: skip


def _check_flags(model: Model) -> None:
    if switched_on(model.extra_args, "--no-kv-offload"):
        raise model.error(
            "extra_args", "--no-kv-offload", "the KV cache on the card",
            "Remove it: attention would run on the CPU. Lower context or quantise the cache",
        )  # fmt: skip
    if "--embedding" in map(spelling, model.extra_args) and "--pooling" not in model.extra_args:
        raise model.error(
            "extra_args", "--embedding", "--embedding with --pooling",
            "Add --pooling and the kind that the model card names",
        )  # fmt: skip


def _check_kv_cache(model: Model, weights: WeightsHeader) -> None:
    # Model checks that both types are the same.
    if model.kv_cache_type_k in ("f16", "bf16"):
        return
    for name, size in (("key", weights.key_size), ("value", weights.value_size)):
        if size % _BLOCK:
            raise model.error(
                f"kv_cache_type_{name[0]}", model.kv_cache_type_k,
                f"f16 or bf16: {size} elements a {name} are not a multiple of {_BLOCK}",
                "Choose one of them",
            )  # fmt: skip


def can_quantise_kv(weights: WeightsHeader) -> bool:
    """Whether q8_0 and q4_0 can store a head of this model."""
    return weights.key_size % _BLOCK == 0 and weights.value_size % _BLOCK == 0
