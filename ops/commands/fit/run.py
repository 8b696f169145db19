"""Compare each model and each set of models with the card, and all of them with the node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import Node, check_budget
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.host import GIB, disk_bytes, host_memory_mib
from llama_swap_config.fit.remedies import as_q8_0
from llama_swap_config.fit.residency import (
    AsManyAsFit,
    NamedSets,
    Residency,
    Sets,
    resident_sets,
)
from llama_swap_config.fit.vram import Vram, resident
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.lock.header import ProjectorHeader
from llama_swap_config.lock.locked import Lock, LockedModel
from llama_swap_config.lock.stand_in import stand_in_problems
from llama_swap_config.model import KvCacheType, ProjectorQuantisation
from ops.errors import OpsError


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What to assume (default: the values of the registry and the settings)."""

    model: str | None = None
    """The only model to change (default: all models)."""
    context: int | None = None
    kv_cache_type: KvCacheType | None = None
    projector: ProjectorQuantisation | None = None
    usable_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFit:
    """One model alone on the card."""

    id: str
    context: int
    kv_cache_type: KvCacheType
    projector: ProjectorQuantisation | None
    estimated: bool
    """Whether the projector's size is predicted, because the lock does not have that file."""
    vram: Vram
    spare_mib: float
    """Below zero: it does not fit."""

    @property
    def total_mib(self) -> float:
        """VRAM of all its terms."""
        return self.vram.total_mib


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFit:
    """Models that are on the card together."""

    models: tuple[str, ...]
    reachable: bool
    """Whether RESIDENCY allows it; otherwise it only would fit."""
    vram: tuple[Vram, ...]
    """Model by model."""
    spare_mib: float

    @property
    def total_mib(self) -> float:
        """VRAM of all its models."""
        return sum(vram.total_mib for vram in self.vram)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the registry fits the card and the node."""

    card: Card
    models: tuple[ModelFit, ...]
    sets: tuple[SetFit, ...]
    disk_bytes: int
    """With the largest model counted twice, for while it is replaced."""
    disk_limit_bytes: int
    host_memory_mib: float
    host_memory_limit_mib: int
    problem: str | None
    """The error of `make synth`; None if everything fits."""
    stand_ins: tuple[str, ...]
    """One line for each model whose figures mean nothing."""


def fit(models: tuple[LockedModel, ...], residency: Residency, node: Node) -> Fit:
    """Compare what the models need with the card and the node.

    Args:
        models: The locked registry.
        residency: Which models may be on the card together.
        node: The card, the engine and the node.

    Raises:
        ConfigError: if the memory of a model cannot be predicted.
    """
    card = node.card
    problem = None
    try:
        check_budget(models, residency, node)
    except ConfigError as error:
        problem = str(error)
    sets = _sets(models, residency, node)
    together = max([1, *(len(model_set.models) for model_set in sets if model_set.reachable)])
    return Fit(
        card=card,
        models=tuple(_model(locked, node.machine) for locked in models),
        sets=sets,
        disk_bytes=disk_bytes(models),
        disk_limit_bytes=node.storage_size_gib * GIB,
        host_memory_mib=host_memory_mib(
            models, cache_ram_mib=node.llama_swap.server.cache_ram_mib, together=together
        ),
        host_memory_limit_mib=node.memory_limit_gib * 1024,
        problem=problem,
        stand_ins=stand_in_problems(models),
    )


def assume(
    models: tuple[LockedModel, ...], node: Node, what_if: WhatIf, lock: Lock
) -> tuple[tuple[LockedModel, ...], Node]:
    """Apply the operator's assumptions.

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
        _assume_model(locked, what_if, lock)
        if what_if.model in (None, locked.model.id)
        else locked
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
    if what_if.projector in (None, model.projector):
        return locked
    if locked.projector is None:
        if what_if.model is None:
            return locked
        raise OpsError(f"model {model.id!r} has no projector; omit --projector")
    model = replace(model, projector=what_if.projector)
    for file in lock[model.id]:
        if file.role == "mmproj" and file.quantisation == what_if.projector:
            return replace(locked, model=model, projector=file)
    if what_if.projector != "Q8_0" or locked.projector.quantisation not in ("F16", "BF16"):
        raise OpsError(
            f"model {model.id!r}: models.lock.json has no {what_if.projector} projector; only "
            "Q8_0 can be estimated, from F16 or BF16. Set it in the registry and run "
            "`python -m ops lock`"
        )
    header = locked.projector_header
    assert isinstance(header, ProjectorHeader)  # noqa: S101 - it has a projector.
    smaller = as_q8_0(header)
    size_bytes = locked.projector.size_bytes - header.tensor_bytes + smaller.tensor_bytes
    # The file keeps its quantisation: it marks the size as estimated.
    projector = replace(locked.projector, header=smaller, size_bytes=size_bytes)
    return replace(locked, model=model, projector=projector)


def _model(locked: LockedModel, machine: Machine) -> ModelFit:
    model, vram = locked.model, resident(locked, machine)
    return ModelFit(
        id=model.id,
        context=model.context,
        kv_cache_type=model.kv_cache_type_k,
        projector=model.projector,
        estimated=locked.projector is not None
        and locked.projector.quantisation != model.projector,
        vram=vram,
        spare_mib=machine.card.free_mib - vram.total_mib,
    )


def _sets(models: tuple[LockedModel, ...], residency: Residency, node: Node) -> tuple[SetFit, ...]:
    vram = {locked.model.id: resident(locked, node.machine) for locked in models}
    reachable = True
    if isinstance(residency, NamedSets):
        sets: Sets = tuple(ids for ids in residency.sets if set(ids) <= set(vram))
    else:
        try:
            sets = resident_sets(models, AsManyAsFit(), node.machine)
            reachable = isinstance(residency, AsManyAsFit)
            if reachable:
                sets = FRONT_ENDS[node.front_end].reachable_sets(models, residency, node.machine)
        except ConfigError:
            # Too many models to try all sets; with AsManyAsFit the budget check has reported it.
            return ()
    return tuple(
        SetFit(
            models=ids,
            reachable=reachable,
            vram=tuple(vram[model_id] for model_id in ids),
            spare_mib=node.card.free_mib - sum(vram[model_id].total_mib for model_id in ids),
        )
        for ids in sets
    )
