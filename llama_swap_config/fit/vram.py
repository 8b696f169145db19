"""VRAM of one llama-server, term by term: as the engine said, or by a formula.

llama-server reserves all of it before its first answer, so it is known before a merge. The lock
has the engine's own figures. The formulas answer without an engine, for three families where they
were found equal to it: Qwen3, Qwen3-VL and MiniCPM-V 4.5. Their sources: the code of llama.cpp
(builds 9878 to 11434), and buffers measured with build 10524 on files of these shapes. Terms of
several processes add up. benchmarks/README.md compares them with published CUDA logs.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.figures import (
    at_most,
    cells,
    figures,
    memory_flags,
)
from llama_swap_config.fit.vision import image_tokens, vision_compute_bytes, vision_has_formula
from llama_swap_config.flags import number_of, spelling, switched_on
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LOCK_COMMAND, LockedModel
from llama_swap_config.lock.stand_in import is_stand_in
from llama_swap_config.model import KvCacheType, Model

MIB = 2**20
_KV_BYTES: dict[KvCacheType, float] = {"f16": 2, "bf16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes of one element; a quantised block holds 32 elements and their scale."""
_LAST_SEPARATE_BATCHES = 10524
"""Newest build that was measured to have the smaller compute buffer."""
_FORMULAS = ("qwen3", "qwen3vl")
"""Architectures whose terms the formulas know."""
_LARGER_LAYER = 1.05
"""Mixed quantisations give some layers more bits than others."""
_LARGER_OUTPUT = 1.5
"""An output in Q6_K to a token embedding in Q4_K: 6.56 to 4.5 bits."""
_BATCH = 2048
_UBATCH = 512


Source = Literal["engine", "at most", "formula"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vram:
    """Resident MiB of one llama-server."""

    weights: float
    kv_cache: float
    compute: float
    projector: float
    vision_compute: float
    cuda_context: float
    source: Source = "formula"
    """Who says so; `at most`: the engine, for another context, so that it may be less."""

    @classmethod
    def sum_of(cls, parts: Collection[Vram]) -> Vram:
        """Add up what a model takes of several cards."""
        return cls(
            **{name: sum(getattr(part, name) for part in parts) for name in TERMS},
            source=max((part.source for part in parts), key=get_args(Source).index),
        )

    @property
    def total_mib(self) -> float:
        """Sum of all terms."""
        return float(sum(getattr(self, name) for name in TERMS))


TERMS = tuple(field.name for field in fields(Vram) if field.name != "source")
"""The terms of a Vram, in its order."""


def resident(locked: LockedModel, machine: Machine) -> Vram:
    """Return the VRAM of a locked model on all its cards: the engine's figures, else a formula's.

    Raises:
        ConfigError: when the lock has no figures, and the model no formula.
    """
    return Vram.sum_of(on_cards(locked, machine).values())


def on_cards(locked: LockedModel, machine: Machine) -> dict[int, Vram]:
    """Return what a locked model takes of each of its cards, in its order.

    Args and raises: as `resident`.
    """
    model = locked.model
    measured = figures(model, locked.memory, machine.engine_build)
    if measured is None and model.shares:
        one = replace(model, cards=model.cards[:1], tensor_split=())
        return split_estimate(locked, resident(replace(locked, model=one), machine), machine)
    if measured is None:
        whole = predict(model, locked.weights_header, locked.projector_header, machine)
        return {model.cards[0]: whole}
    parts = caches(model)
    found: dict[int, Vram] = {}
    for card, part in zip(model.cards, measured.on_cards, strict=True):
        kv_cache, is_kv_exact = at_most(part.contexts, model.context, "kv_cache_mib", parts=parts)
        compute, is_exact = at_most(part.contexts, model.context, "compute_mib", parts=parts)
        sees = not found and measured.projector_mib > 0
        found[card] = Vram(
            weights=part.weights_mib,
            kv_cache=kv_cache,
            compute=compute,
            projector=0 if found else measured.projector_mib,
            vision_compute=0 if found else measured.vision_compute_mib,
            cuda_context=_cuda_mib(model, locked.weights_header, machine, sees=sees),
            source="engine" if is_kv_exact and is_exact else "at most",
        )
    return found


def split_estimate(locked: LockedModel, whole: Vram, machine: Machine) -> dict[int, Vram]:
    """Estimate what a model takes of each of its cards, for which the engine was not asked.

    llama.cpp gives each card its share of the layers, of which the output counts as one
    (`load_tensors`). Layers differ in size, and the header does not say how large the output is;
    the estimate is rather too high.

    Args:
        locked: The model with its cards, of which there are several.
        whole: What it takes of a single card.
        machine: The card and the engine.
    """
    model, weights = locked.model, locked.weights_header
    ends = [end / sum(model.shares) for end in itertools.accumulate(model.shares)]
    owners = [
        next(index for index, end in enumerate(ends) if end > number / (weights.layers + 1))
        for number in range(weights.layers + 1)
    ]
    count = max(weights.layers, 1)
    output = weights.token_embedding_bytes / MIB
    layer = (whole.weights - output) / count * _LARGER_LAYER
    found: dict[int, Vram] = {}
    for index, card in enumerate(model.cards):
        layers = owners[:-1].count(index)
        is_first = not found
        found[card] = Vram(
            weights=layers * layer + (owners[-1] == index) * output * _LARGER_OUTPUT,
            kv_cache=whole.kv_cache * layers / count,
            compute=whole.compute + (0 if is_first else passed_on_mib(model, weights)),
            projector=whole.projector if is_first else 0,
            vision_compute=whole.vision_compute if is_first else 0,
            cuda_context=_cuda_mib(model, weights, machine, sees=is_first and whole.projector > 0),
            source="formula",
        )
    return found


def passed_on_mib(model: Model, weights: WeightsHeader) -> float:
    """Compute MiB that a later card's compute buffer has beyond what `--fit` promises.

    The last layer's result and its norm, for a micro-batch: `--fit` reckons with them on the card
    before. Measured with builds 10524 and 11434.
    """
    return 2 * 4 * micro_batch(model) * weights.width / MIB


def check_figures(locked: LockedModel, engine_build: int) -> None:
    """Check that the lock has the engine's figures for a model.

    Raises:
        ConfigError: when it has none for this build, these flags and this context.
    """
    model = locked.model
    if is_stand_in(locked.files):
        return
    if figures(model, locked.memory, engine_build) is not None:
        return
    known = ", ".join(f"b{each.engine_build} with {each.flags}" for each in locked.memory)
    raise model.error(
        "memory", known or "not in the lock",
        f"what llama.cpp b{engine_build} takes with {memory_flags(model)} and "
        f"{model.context} tokens of context",
        f"Run `{LOCK_COMMAND}`",
    )  # fmt: skip


def predict(
    model: Model, weights: WeightsHeader, projector: ProjectorHeader | None, machine: Machine
) -> Vram:
    """Predict the VRAM of one llama-server with all layers on the card and flash attention.

    Args:
        model: The registry's model with its flags.
        weights: The header of its weights.
        projector: The header of its projector; None for a text model.
        machine: The engine, and the cost of a CUDA context on its card.

    Raises:
        ConfigError: when a flag's value is not a number, or the model has no formula.
    """
    if not has_formula(weights, projector):
        kind = "" if projector is None else f" with {projector.projector_type}"
        raise model.error(
            "architecture", f"{weights.architecture}{kind}",
            f"{', '.join(_FORMULAS)} where the engine was not asked",
            f"Run `{LOCK_COMMAND}`, which asks it",
        )  # fmt: skip
    if projector is not None and switched_on(model.extra_args, "--no-mmproj-offload"):
        projector = None
    vision = 0.0
    if projector is not None:
        tokens = image_tokens(model.image_max_tokens or 0, machine.engine_build)
        vision = vision_compute_bytes(projector, tokens) / MIB
    return Vram(
        weights=weights_bytes(weights) / MIB,
        kv_cache=kv_cache_bytes(model, weights) / MIB,
        compute=compute_bytes(model, weights, machine.engine_build) / MIB,
        projector=0 if projector is None else projector.tensor_bytes / MIB,
        vision_compute=vision,
        cuda_context=_cuda_mib(model, weights, machine, sees=projector is not None),
    )


def has_formula(weights: WeightsHeader, projector: ProjectorHeader | None) -> bool:
    """Whether the formulas were found equal to the engine for such a model."""
    # A header that lacks a key has 0 there.
    counted = (weights.feed_forward, weights.heads, weights.kv_heads, weights.key_size)
    return (
        weights.architecture in _FORMULAS
        and all(counted)
        and (projector is None or vision_has_formula(projector))
    )


def _cuda_mib(model: Model, weights: WeightsHeader, machine: Machine, *, sees: bool) -> float:
    """Return what CUDA itself takes, which the engine does not log."""
    pools = machine.card.vision_pools_mib if sees else 0
    return machine.card.cuda_context_mib + pools + _dequantised_kv_bytes(model, weights) / MIB


def weights_bytes(weights: WeightsHeader) -> int:
    """Compute the bytes of the weights on the card.

    The token embedding stays in host memory. A tied output is that embedding, which llama.cpp then
    copies to the card too. Equal to CUDA logs of an 8B and a 4B: 4455.34, 2375.91 MiB.
    """
    if weights.output_tied:
        return weights.tensor_bytes
    return weights.tensor_bytes - weights.token_embedding_bytes


def caches(model: Model) -> int:
    """Return the number of separate caches: one for each slot, or one that all share."""
    return 1 if is_unified(model) else model.parallel_slots


def slot_cells(model: Model) -> int:
    """Compute the cache cells that one slot can use; with `--kv-unified` all slots share them.

    Source: llama-context.cpp rounds the context up to 256, then each slot's part of it.
    """
    return _cells(model) // caches(model)


def _cells(model: Model) -> int:
    return cells(model.context, parts=caches(model))


def kv_cache_bytes(model: Model, weights: WeightsHeader) -> float:
    """Compute the bytes of the KV cache: slots share the context, they do not multiply it.

    Source: llama-kv-cache.cpp; equal to logs with f16, q8_0 and q4_0.
    """
    per_cell = weights.key_size * _KV_BYTES[model.kv_cache_type_k]
    per_cell += weights.value_size * _KV_BYTES[model.kv_cache_type_v]
    return weights.layers * _cells(model) * weights.kv_heads * per_cell


def compute_bytes(model: Model, weights: WeightsHeader, engine_build: int) -> float:
    """Compute the bytes of the compute buffer: the larger of a layer's part and the logits' part.

    Measured for 1, 4 and 8 slots, with builds 9878 and 10524 to 0.02 MiB and with 11434 to 0.2.
    One CUDA log agrees with the former (104.01 MiB), another with the latter (85.01).
    Since June 2026 llama-server reserves the logits of one token for each slot; an embedding
    server still those of a whole micro-batch.

    Args:
        model: The registry's model with its flags.
        weights: The header of its weights.
        engine_build: Build of llama.cpp.
    """
    tokens = micro_batch(model)
    of_layer = 4 * tokens * _layer_floats(weights, engine_build) + 2 * tokens * slot_cells(model)
    outputs = model.parallel_slots
    copied_rows = 0
    if is_embedding_server(model):
        outputs = tokens
        if engine_build > _LAST_SEPARATE_BATCHES:
            copied_rows = 4 * weights.width * tokens
    return max(of_layer, 4 * (outputs * (weights.vocabulary + weights.width) + copied_rows))


def _layer_floats(weights: WeightsHeader, engine_build: int) -> int:
    """Compute the floats of one token in a layer; a deepstack model's image adds features.

    Newer builds take tokens and images in one batch, whose rows are copied first
    (`build_inp_embd`); the first such build is not known. For deepstack models with a feed-forward
    width of more than 3.8 widths, none of which is served here, the result is up to 25 % too high
    and never too low.
    """
    width, hidden = weights.width, 3 * weights.feed_forward
    queries = weights.heads * weights.key_size
    if engine_build <= _LAST_SEPARATE_BATCHES:
        return hidden + (6 * width if weights.deepstack_layers else 2 * width + queries)
    if weights.deepstack_layers:
        return 29 * width + (hidden if 5 * hidden > 57 * width else 0)
    keys = weights.kv_heads * weights.key_size
    return 4 * width + max(hidden, 2 * queries + 2 * keys)


def micro_batch(model: Model) -> int:
    """Tokens of one micro-batch (`-ub`, at most `-b` and the context)."""
    batch = _number(model, "--batch-size", default=_BATCH)
    ubatch = _number(model, "--ubatch-size", default=_UBATCH)
    return min(batch, ubatch, model.context)


def is_embedding_server(model: Model) -> bool:
    """Whether each token of a batch has an output (`--embedding`, `--reranking`)."""
    return not {"--embedding", "--reranking"}.isdisjoint(map(spelling, model.extra_args))


def _dequantised_kv_bytes(model: Model, weights: WeightsHeader) -> float:
    """Compute the bytes of one layer's cache as f16, which CUDA holds while it reads prompts.

    Source: fattn-common.cuh, which converts every type but f16; not measured.
    """
    if model.kv_cache_type_k == "f16":
        return 0
    return 2 * _cells(model) * weights.kv_heads * (weights.key_size + weights.value_size)


def _number(model: Model, name: str, *, default: int) -> int:
    return number_of(f"model {model.id!r}", model.extra_args, name, default=default)


def is_unified(model: Model) -> bool:
    """Whether all slots share one cache, so that one slot may use the whole context."""
    return switched_on(model.extra_args, "--kv-unified", off="--no-kv-unified")
