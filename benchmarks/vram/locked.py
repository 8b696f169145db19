"""What the lock says of a case: figures that were measured at other contexts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.vram.cases import Case
from benchmarks.vram.engine import Reserved
from in_pod.download.contract import LINK_NAMES
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.figures import least_context, memory_flags
from llama_swap_config.fit.vram import Vram, resident
from llama_swap_config.lock.locked import LockedFile, LockedModel, Role
from llama_swap_config.lock.memory import Measured
from llama_swap_config.model import Model
from ops.engine.measure import measure
from ops.gguf.header import read_file_header

_CONTEXT = 3072
"""The declared context at which the figures are measured."""


class Lock:
    """The figures of one engine build, measured once for the files and flags of each case."""

    def __init__(self, programs: Path, engine_build: int) -> None:
        """Measure nothing yet."""
        self._programs = programs
        self._machine = Machine(card=Card(product="Tesla-T4"), engine_build=engine_build)
        self._memory: dict[tuple[str, str, str], Measured] = {}

    def says(self, case: Case, folder: Path) -> Reserved:
        """Return what synth would reckon with for a case whose files lie in a directory."""
        return Reserved.of(self.vram(case.model, folder, tower_type=case.tower_type))

    def vram(self, model: Model, folder: Path, *, tower_type: str = "F16") -> Vram:
        """Return the terms of a model at its context, from figures of `_CONTEXT`."""
        key = (model.id, tower_type, memory_flags(model))
        locked = locked_of(model, folder)
        if key not in self._memory:
            declared = replace(model, context=max(_CONTEXT, least_context(model)))
            self._memory[key] = measure(
                replace(locked, model=declared),
                folder,
                programs=self._programs,
                engine_build=self._machine.engine_build,
            )
        return resident(replace(locked, memory=(self._memory[key],)), self._machine)


def locked_of(model: Model, folder: Path) -> LockedModel:
    """Join a model with the files of a directory, under the names of their links."""
    projector = None if model.projector is None else _file(folder, "mmproj")
    return LockedModel(model=model, weights=(_file(folder, "model"),), projector=projector)


def _file(folder: Path, role: Role) -> LockedFile:
    path = folder / LINK_NAMES[role]
    return LockedFile(
        role=role,
        repository="owner/name",
        revision="main",
        name=path.name,
        quantisation="-",
        size_bytes=path.stat().st_size,
        sha256="0" * 64,
        header=read_file_header(path, role),
        header_source="a shape",
    )
