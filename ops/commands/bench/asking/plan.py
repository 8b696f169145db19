"""What one session asks, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ops.commands.bench.asking.methods import Prompt
from ops.commands.bench.asking.schedule import Unit
from ops.commands.bench.results import ModelRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask."""

    prompt: Prompt
    units: tuple[Unit, ...]
    models: tuple[ModelRun, ...]
    images: Path
    """The directory with <image_sha256>.jpg."""
    deadline: float | None = None
    """A time of `time.monotonic`; None: no deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The outcome of a session."""

    asked: int
    """Answers and failures of this session."""
    units: int
    """Units that all models were asked; fewer than scheduled if time was short."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Model -> why it was skipped, in one line."""
    out_of_time: bool = False
