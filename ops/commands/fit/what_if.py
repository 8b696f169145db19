"""Apply the operator's assumptions to the locked registry."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llama_swap_config.fit.budget import Node
from llama_swap_config.fit.remedies import as_q8_0, has_16_bits
from llama_swap_config.fit.vram import MIB
from llama_swap_config.lock.locked import LOCK_COMMAND, Lock, LockedModel, lock_model
from llama_swap_config.lock.memory import Measured
from llama_swap_config.model import KvCacheType
from llama_swap_config.quantisation import words
from ops.errors import OpsError


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What to assume (default: the values of the registry and the settings)."""

    model: str | None = None
    """The only model to change (default: all models)."""
    context: int | None = None
    kv_cache_type: KvCacheType | None = None
    projector: str | None = None
    usable_mib: int | None = None

    @property
    def changes_models(self) -> bool:
        """Whether a model takes other memory."""
        return (self.context, self.kv_cache_type, self.projector) != (None, None, None)

    def is_about(self, model_id: str) -> bool:
        """Whether the values of a model are assumed."""
        return self.model in (None, model_id)


def assume(
    models: tuple[LockedModel, ...], node: Node, what_if: WhatIf, lock: Lock
) -> tuple[tuple[LockedModel, ...], Node]:
    """Apply the operator's assumptions, except for `estimate`.

    Args:
        models: The locked registry.
        node: The settings.
        what_if: What to assume.
        lock: The lock, which may have the header of another projector.

    Raises:
        OpsError: if that projector does not exist.
        ConfigError: if the registry would refuse the value too.
    """
    if what_if.usable_mib is not None:
        node = replace(node, card=replace(node.card, usable_mib=what_if.usable_mib))
    changed = tuple(
        _assume_model(locked, what_if, lock) if what_if.is_about(locked.model.id) else locked
        for locked in models
    )
    return changed, node


def _assume_model(locked: LockedModel, what_if: WhatIf, lock: Lock) -> LockedModel:
    model = locked.model
    if what_if.context is not None:
        model = replace(model, context=what_if.context)
    if what_if.kv_cache_type is not None:
        kv = what_if.kv_cache_type
        model = replace(model, kv_cache_type_k=kv, kv_cache_type_v=kv)
    locked = replace(locked, model=model)
    if what_if.projector is None or words(what_if.projector) == words(model.projector or ""):
        return locked
    if locked.projector_header is None:
        if what_if.model is None:
            return locked
        raise OpsError(f"model {model.id!r} has no projector; omit --projector")
    model = replace(model, projector=what_if.projector)
    entry = lock[model.id]
    label = words(what_if.projector)
    if any(words(file.quantisation) == label for file in entry.files if file.role == "mmproj"):
        return lock_model(model, entry)
    if label != words("Q8_0") or not has_16_bits(locked.projector_header):
        raise OpsError(
            f"model {model.id!r}: models.lock.json has no {what_if.projector} projector; only "
            "Q8_0 can be estimated, from F16 or BF16. Set it in the registry and run "
            f"`{LOCK_COMMAND}`"
        )
    return replace(locked, model=model)


def is_estimated(locked: LockedModel) -> bool:
    """Whether the size of a model's projector is predicted: the lock does not have that file."""
    projector = locked.projector
    return projector is not None and words(projector.quantisation) != words(
        locked.model.projector or ""
    )


def estimate(locked: LockedModel) -> LockedModel:
    """Shrink a projector that `assume` found only with 16 bits to its size as Q8_0.

    Its compute buffer stays as the engine said: it does not depend on the type of the tensors.
    """
    header = locked.projector_header
    if locked.projector is None or header is None or not is_estimated(locked):
        return locked
    smaller = as_q8_0(header)
    size_bytes = locked.projector.size_bytes - header.tensor_bytes + smaller.tensor_bytes
    # The file keeps its quantisation: it marks the size as estimated.
    return replace(
        locked,
        projector=replace(locked.projector, header=smaller, size_bytes=size_bytes),
        memory=tuple(_shrunk(it, smaller.tensor_bytes / MIB) for it in locked.memory),
    )


def _shrunk(measured: Measured, projector_mib: float) -> Measured:
    # 0 where the projector stays on the CPU.
    return replace(measured, projector_mib=min(measured.projector_mib, round(projector_mib, 2)))
