"""The error of a request that an endpoint fails."""

from __future__ import annotations

from typing import Literal

Ends = Literal["check", "model", "endpoint"]
"""What a failure ends: this check, all checks of its model, or all checks."""


class CheckError(Exception):
    """The endpoint does not answer as it should; the text says how, in one line."""

    def __init__(self, reason: str, *, ends: Ends = "check") -> None:
        """Store the reason and the scope of the failure.

        Args:
            reason: One line for the operator.
            ends: Which further requests the failure makes pointless (default: none).
        """
        super().__init__(reason)
        self.ends: Ends = ends
