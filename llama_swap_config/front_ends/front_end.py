"""The two programs that can stand in front of the models."""

from __future__ import annotations

from typing import Literal

FrontEnd = Literal["llama-swap", "llama-server"]
"""llama-swap; or llama-server's own router, which the same image holds."""
