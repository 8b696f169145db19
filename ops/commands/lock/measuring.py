"""Fill the lock with what the engine says that each model takes of the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.figures import memory_flags
from llama_swap_config.fit.vram import predict, resident
from llama_swap_config.lock.locked import Lock, LockedFile, LockedModel, lock_model
from llama_swap_config.lock.memory import Measured
from llama_swap_config.model import Model
from ops.engine.headers import KeptHeader, header_files
from ops.engine.measure import measure
from ops.engine.several import ask_each
from ops.hub.files import HubSource
from ops.machine import llama_build
from ops.report.terminal import Say

_WORTH_A_WORD = 0.01
"""Difference of engine and formula, of the whole, above which it is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """The result of a run."""

    lock: Lock
    """The new lock."""
    failures: Mapping[str, str]
    """Model id -> why the engine gave no figures."""


def measure_models(
    models: Sequence[Model], lock: Lock, *, machines: Mapping[str, Machine], say: Say
) -> Measurements:
    """Ask the engine about models, several at a time; one that fails keeps what the lock has.

    Args:
        models: Models that the lock has files of.
        lock: The lock.
        machines: Model id -> the cards of its home, and the engine's build, which is built once
            if it is missing.
        say: Takes a line of progress.

    Raises:
        OpsError: when that build cannot be had.
    """
    builds = dict.fromkeys(machines[model.id].engine_build for model in models)
    programs = {build: _programs(build, say) for build in builds}

    def ask(locked: LockedModel) -> Measured:
        machine = machines[locked.model.id]
        return _ask(locked, programs=programs[machine.engine_build], machine=machine, say=say)

    answers, failures = ask_each([lock_model(model, lock[model.id]) for model in models], ask)
    after = dict(lock)
    for model in models:
        if model.id in answers:
            memory = _kept(model, lock[model.id].memory, answers[model.id])
            after[model.id] = replace(lock[model.id], memory=memory)
    return Measurements(lock=after, failures=failures)


def _programs(build: int, say: Say) -> Path:
    if not llama_build.is_pinned(build):
        llama_build.pin(build, say)
    return llama_build.built(say, build)


def _kept(model: Model, memory: Sequence[Measured], measured: Measured) -> tuple[Measured, ...]:
    """Keep the figures of other builds for the same flags: an upgrade may be taken back."""
    others = [
        old
        for old in memory
        if old.flags == memory_flags(model) and old.engine_build != measured.engine_build
    ]
    return (*others, measured)


def _ask(locked: LockedModel, *, programs: Path, machine: Machine, say: Say) -> Measured:
    build = machine.engine_build
    with header_files(locked, kept_header) as folder:
        measured = measure(locked, folder, programs=programs, engine_build=build)
    with_figures = replace(locked, memory=(measured,))
    total_mib = resident(with_figures, machine).total_mib
    say(f"{locked.model.id}: llama.cpp b{build} takes {total_mib:.0f} MiB")
    _compare(locked, total_mib, machine, say)
    return measured


def kept_header(file: LockedFile) -> KeptHeader:
    """Return the header of a locked file, from the cache or its repository."""
    source = HubSource(
        repository=file.repository,
        commit=file.revision,
        name=file.name,
        size_bytes=file.size_bytes,
    )
    return KeptHeader(source=source, sha256=file.sha256)


def _compare(locked: LockedModel, engine: float, machine: Machine, say: Say) -> None:
    """Report where a formula differs from the engine's MiB: somebody has to correct it."""
    if locked.model.shares:  # The formulas know one card.
        return
    try:
        formula = predict(
            locked.model, locked.weights_header, locked.projector_header, machine
        ).total_mib
    except ConfigError:
        return
    if abs(formula - engine) > _WORTH_A_WORD * engine:
        say(
            f"{locked.model.id}: the formula says {formula:.0f} MiB, {formula - engine:+.0f}; the "
            "lock has the engine's"
        )
