"""The ways out for a model that does not fit the card, computed and not guessed."""

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
    """Find the largest context, a multiple of 256, with which a model fits what is free.

    Returns:
        Tokens; None where not even one image, or 256 tokens in each slot, fit.
    """
    slots = model.parallel_slots
    # The model itself refuses a context that one image fills.
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
    """Predict the header of the Q8_0 file that may lie beside an F16 one.

    The matrices of the layers and the merger shrink to 34/64; the position and patch embeddings
    stay, and so do rows that are no multiple of 32, as those of a feed-forward width of 4304.
    0.6 % and 0.9 % below the two published pairs of Qwen3-VL.
    """
    side = projector.image_px // max(projector.patch_px, 1)
    kept = 4 * side**2 * projector.width + 2 * _F16 * 3 * projector.patch_px**2 * projector.width
    if projector.feed_forward % 32:
        kept += _F16 * projector.layers * projector.width * projector.feed_forward
    kept = min(kept, projector.tensor_bytes)
    shrunk = kept + (projector.tensor_bytes - kept) * _Q8_0 / _F16
    return replace(projector, tensor_bytes=round(shrunk))


def ways_out(locked: LockedModel, machine: Machine) -> str:
    """Say what would make a model fit with its context as it is; empty: nothing that is known.

    The smallest loss that is enough: a Q8_0 projector or cache, both, and only then a q4_0 cache.
    """
    model, weights, projector = locked.model, locked.weights_header, locked.projector_header
    same = model.kv_cache_type_k
    smaller = None
    if projector is not None and model.projector in ("F16", "BF16"):
        smaller = as_q8_0(projector)

    def tried(kv: KvCacheType, of: ProjectorHeader | None) -> list[str]:
        changed = replace(model, kv_cache_type_k=kv, kv_cache_type_v=kv)
        total = predict(changed, weights, of, machine).total_mib
        words = ["projector Q8_0"] if of is not projector else []
        words += [f"KV cache {kv}"] if kv != same else []
        fits = total <= machine.card.free_mib
        return [f"{' with '.join(words)} ({total:.0f} MiB)"] if fits else []

    found = [] if smaller is None else tried(same, smaller)
    if not can_quantise_kv(weights):
        return "".join(found)
    kv_types: tuple[KvCacheType, ...] = ("q8_0", "q4_0")
    for kv in kv_types[kv_types.index(same) + 1 :] if same in kv_types else kv_types:
        if not found or kv == "q8_0":
            found += tried(kv, projector)
        if not found and smaller is not None:
            found += tried(kv, smaller)
    return " or ".join(found)
