"""Computed remedies for a model that does not fit the card."""

from __future__ import annotations

from dataclasses import replace

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.engine import can_quantise_kv
from llama_swap_config.fit.vram import CELLS, is_unified, predict
from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import KvCacheType, Model

_Q8_0 = 34 / 32
"""Bytes of an element, its block's scale included."""
_F16 = 2


def largest_context(
    model: Model, weights: WeightsHeader, projector: ProjectorHeader | None, machine: Machine
) -> int | None:
    """Find the largest context, a multiple of 256, with which a model fits the card.

    Returns:
        Tokens; None where not even one image, or 256 tokens for each slot, fit.
    """
    slots = model.parallel_slots
    # Model refuses a context that one image fills.
    least = ((model.image_max_tokens or 0) + 1) * slots
    low = -(-least // CELLS)
    high = max(low, weights.train_context * (1 if is_unified(model) else slots) // CELLS)

    def fits(blocks: int) -> bool:
        changed = replace(model, context=blocks * CELLS)
        return predict(changed, weights, projector, machine).total_mib <= machine.card.free_mib

    if not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low * CELLS


def as_q8_0(projector: ProjectorHeader) -> ProjectorHeader:
    """Predict the header of the Q8_0 version of an F16 projector.

    The matrices of the layers and the merger shrink to 34/64. The position and patch embeddings
    stay as they are, and so do rows that are not a multiple of 32, such as those of a feed-forward
    width of 4304. The result is 0.6 % and 0.9 % below the two published pairs of Qwen3-VL.
    """
    side = projector.image_px // max(projector.patch_px, 1)
    kept = 4 * side**2 * projector.width + 2 * _F16 * 3 * projector.patch_px**2 * projector.width
    if projector.feed_forward % 32:
        kept += _F16 * projector.layers * projector.width * projector.feed_forward
    kept = min(kept, projector.tensor_bytes)
    shrunk = kept + (projector.tensor_bytes - kept) * _Q8_0 / _F16
    return replace(projector, tensor_bytes=round(shrunk))


def smallest_changes(locked: LockedModel, machine: Machine) -> str:
    """Name the smallest changes with which a model fits at its present context.

    A Q8_0 projector or cache, then both, then a q4_0 cache; empty where none of them is enough.
    """
    model, weights, projector = locked.model, locked.weights_header, locked.projector_header
    present = model.kv_cache_type_k
    smaller = None
    if projector is not None and model.projector in ("F16", "BF16"):
        smaller = as_q8_0(projector)

    def attempt(kv: KvCacheType, header: ProjectorHeader | None) -> list[str]:
        changed = replace(model, kv_cache_type_k=kv, kv_cache_type_v=kv)
        total = predict(changed, weights, header, machine).total_mib
        words = ["projector Q8_0"] if header is not projector else []
        words += [f"KV cache {kv}"] if kv != present else []
        fits = total <= machine.card.free_mib
        return [f"{' with '.join(words)} ({total:.0f} MiB)"] if fits else []

    remedies = [] if smaller is None else attempt(present, smaller)
    if not can_quantise_kv(weights):
        return "".join(remedies)
    kv_types: tuple[KvCacheType, ...] = ("q8_0", "q4_0")
    for kv in kv_types[kv_types.index(present) + 1 :] if present in kv_types else kv_types:
        if not remedies or kv == "q8_0":
            remedies += attempt(kv, projector)
        if not remedies and smaller is not None:
            remedies += attempt(kv, smaller)
    return " or ".join(remedies)
