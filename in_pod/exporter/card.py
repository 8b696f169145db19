"""The card's memory, as the front end's gauges say."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .plan import Plan

_GAUGE = re.compile(
    rb"^llamaswap_gpu_memory_(used|total)_bytes\{[^\n]*\} ([0-9.e+-]{1,24})$", re.MULTILINE
)
_SETTLED_S = 10.0
"""llama-swap reads the card every 5 s, and the exporter its gauges every 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """VRAM in bytes."""

    used: float
    total: float
    others: float | None
    """Used beyond the prediction for the loaded models; None until a swap has settled."""
    read: float
    """Monotonic time of the reading."""


def parse_gauges(text: bytes) -> tuple[float, float] | None:
    """Return used and total bytes of the first card in llama-swap's metrics; None without one."""
    found: dict[bytes, float] = {}
    for name, digits in _GAUGE.findall(text):
        try:
            value = float(digits)
        except ValueError:
            return None
        if math.isfinite(value) and value >= 0:
            found.setdefault(name, value)
    if not found.get(b"total") or b"used" not in found:
        return None
    return found[b"used"], found[b"total"]


class Card:
    """The last reading of the card."""

    def __init__(self, plan: Plan) -> None:
        """Begin without a reading."""
        self._vram_mib = plan.vram_mib
        self.reading: Reading | None = None

    def read(
        self, used: float, total: float, *, loaded: tuple[str, ...], changed: float, now: float
    ) -> None:
        """Note a reading.

        Args:
            used: Bytes in use.
            total: Bytes of the card.
            loaded: The models that hold memory.
            changed: When a model last changed its state.
            now: Monotonic time.
        """
        others = None if self.reading is None else self.reading.others
        if now - changed >= _SETTLED_S:
            known = [self._vram_mib[model] for model in loaded if model in self._vram_mib]
            is_known = len(known) == len(loaded)
            others = max(0.0, used - sum(known) * 2**20) if is_known else None
        self.reading = Reading(used=used, total=total, others=others, read=now)
