"""What one session asks, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ops.commands.bench.asking.methods import Prompt
from ops.commands.bench.asking.schedule import Unit
from ops.commands.bench.results import ModelRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked."""

    prompt: Prompt
    units: tuple[Unit, ...]
    models: tuple[ModelRun, ...]
    images: Path
    """The directory of <image_sha256>.jpg."""
    deadline: float | None = None
    """On `time.monotonic`; None: there is time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended."""

    asked: int
    """Answers and failures of this session."""
    units: int
    """Of the schedule, that were asked of all models; fewer than all of it: time was short."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Model -> why it was left, in one line."""
    out_of_time: bool = False
