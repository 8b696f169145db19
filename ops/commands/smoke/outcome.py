"""What comes out of one check, and how a check fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "skipped"]
"""Only a failure before it can make a check skipped: what cannot be seen is a failure."""
Ends = Literal["check", "model", "endpoint"]
"""What is over after a failure: this check, all of its model, or everything."""


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


class CheckError(Exception):
    """The endpoint does not do what it should; the text says what it does, in one line."""

    def __init__(self, reason: str, *, ends: Ends = "check") -> None:
        """Say what is wrong.

        Args:
            reason: One line for the operator.
            ends: How much need not be asked any more; left out: only this check.
        """
        super().__init__(reason)
        self.ends: Ends = ends


def one_line(text: str, *, limit: int = 240) -> str:
    """Make any text fit for a terminal, a table and XML: one line, printable, not too long."""
    line = " ".join(text.split())
    line = "".join(each if each.isprintable() else "?" for each in line)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
