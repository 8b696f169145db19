"""How an endpoint fails a question."""

from __future__ import annotations

from typing import Literal

Ends = Literal["check", "model", "endpoint"]
"""What is over after a failure: this check, all of its model, or everything."""


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
