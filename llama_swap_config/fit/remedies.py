"""Computed remedies for a model that does not fit the card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.engine import can_quantise_kv
from llama_swap_config.fit.figures import CELLS, least_context, rounded_up
from llama_swap_config.fit.vram import Vram, caches, on_cards, predict
from llama_swap_config.lock.header import ProjectorHeader
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import KvCacheType

_Q8_0 = 34 / 32
"""Bytes of an element, its block's scale included."""
_F16 = 2


def largest_context(
    locked: LockedModel,
    machine: Machine,
    ask: Callable[[LockedModel], LockedModel] | None = None,
) -> int | None:
    """Find the largest context, a multiple of 256, with which a model is known to fit the card.

    Args:
        locked: The model.
        machine: The card and the engine.
        ask: Returns a model with the engine's figures for its context (default: the figures of
            the lock and the formulas have to do).

    Returns:
        Tokens; None where not even one image, or 256 tokens for each slot, fit.
    """
    model = locked.model
    low = rounded_up(least_context(model)) // CELLS
    high = max(low, locked.weights_header.train_context * caches(model) // CELLS)

    def fits(blocks: int) -> bool:
        changed = replace(model, context=blocks * CELLS)
        asked = replace(locked, model=changed)
        vram = _fullest(asked, machine)
        is_known = vram.source == "engine" or (
            vram.source == "at most" and vram.total_mib <= machine.card.free_mib
        )
        if ask is not None and not is_known:
            vram = _fullest(ask(asked), machine)
        return vram.total_mib <= machine.card.free_mib

    if not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low * CELLS


def _fullest(locked: LockedModel, machine: Machine) -> Vram:
    """Return what a model takes of the card of which it takes most."""
    return max(on_cards(locked, machine).values(), key=lambda vram: vram.total_mib)


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


def has_16_bits(projector: ProjectorHeader) -> bool:
    """Whether most bytes of a projector would shrink as Q8_0."""
    return projector.tensor_types[:1] in (("F16",), ("BF16",))


def smallest_changes(locked: LockedModel, machine: Machine) -> str:
    """Name the smallest changes with which a model is known to fit at its present context.

    A Q8_0 projector, then a q8_0 cache, both, and a q4_0 cache; empty where none of them is known
    to be enough: the lock has no figures for other flags, and the model no formula, as none on
    several cards has.
    """
    model, projector = locked.model, locked.projector_header
    if model.shares:
        return ""
    present = model.kv_cache_type_k
    smaller = None
    if projector is not None and has_16_bits(projector):
        smaller = as_q8_0(projector)

    def attempt(kv: KvCacheType, header: ProjectorHeader | None) -> list[str]:
        changed = replace(model, kv_cache_type_k=kv, kv_cache_type_v=kv)
        try:
            total = predict(changed, locked.weights_header, header, machine).total_mib
        except ConfigError:
            return []
        words = ["projector Q8_0"] if header is not projector else []
        words += [f"KV cache {kv}"] if kv != present else []
        fits = total <= machine.card.free_mib
        return [f"{' with '.join(words)} ({total:.0f} MiB)"] if fits else []

    remedies = [] if smaller is None else attempt(present, smaller)
    if not can_quantise_kv(locked.weights_header):
        return "".join(remedies)
    quantised: list[str] = []
    kv_types: tuple[KvCacheType, ...] = ("q8_0", "q4_0")
    for kv in kv_types[kv_types.index(present) + 1 :] if present in kv_types else kv_types:
        if not (remedies or quantised) or kv == "q8_0":
            quantised += attempt(kv, projector)
        if not (remedies or quantised) and smaller is not None:
            quantised += attempt(kv, smaller)
    if not quantised:
        return "".join(remedies)
    return f"{' or '.join([*remedies, *quantised])}, {machine.card.quantised_cache}"
