"""What the pinned llama-server would do wrong with a model.

Each check stands for a failure that the engine reports late or never.
"""

from __future__ import annotations

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.vram import is_unified
from llama_swap_config.flags import spelling, switched_on
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model

FIRST_BUILD = 10524
"""The first build of llama.cpp whose flags and log this repository is known to fit.

Older builds answer with fluent nonsense and no error for a model that they do not know (llama.cpp
#27164), or serve some vision towers wrongly (#16962, #18444; ADR 26). Whether a later build knows
a model is the engine's answer to `ops lock`.
"""
BROKEN = {("qwen3moe", "qwen3vl_merger"): "#20899"}
"""Architecture and projector that the engine promises memory for, and no build is known to serve
-> the report of llama.cpp."""
_OF_ITS_TOWER = ("mlp", "mlp_norm", "ldp", "ldpv2")
"""Projectors of which some headers have the tower's own width: LLaVA's first converter wrote it.
The engine compares the tensors only when it loads them."""
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
    _check_build(model, locked, engine_build)
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


def _check_build(model: Model, locked: LockedModel, engine_build: int) -> None:
    if engine_build < FIRST_BUILD:
        raise ConfigError.of(
            "settings", "engine_build", engine_build, expected=f"at least {FIRST_BUILD}",
            remedy="Pin a newer llama_swap_image and its engine_build",
        )  # fmt: skip
    if locked.projector_header is None:
        return
    pair = (locked.weights_header.architecture, locked.projector_header.projector_type)
    if pair in BROKEN:
        raise model.error(
            "architecture", " with ".join(pair),
            f"another model: no build is known to serve it (llama.cpp {BROKEN[pair]})",
            "Choose another",
        )  # fmt: skip


def _check_projector(model: Model, weights: WeightsHeader, projector: ProjectorHeader) -> None:
    if projector.projector_type in _OF_ITS_TOWER or projector.output_width == 0:
        return
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
    # 0: the header does not say it.
    if 0 < weights.train_context < model.context // slots:
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
