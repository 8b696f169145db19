"""What comes out of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "skipped"]
"""Only a failure before it can make a check skipped: what cannot be seen is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to the endpoint, and what came of it."""

    name: str
    model: str | None
    """The model's id; None: about the endpoint itself."""
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    """One line, why it failed or was skipped; empty when it is ok."""
    note: str = ""
    """What is worth knowing although it is ok."""
