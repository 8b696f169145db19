"""The memory of the cards, as the front end's gauges say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .plan import Plan

_GAUGE = re.compile(
    rb'^llamaswap_gpu_memory_(used|total)_bytes\{id="(\d{1,3})"[^\n]*\} ([0-9.e+-]{1,24})$',
    re.MULTILINE,
)
_SETTLED_S = 10.0
"""llama-swap reads the cards every 5 s, and the exporter its gauges every 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """VRAM of a card in bytes."""

    used: float
    total: float
    others: float | None
    """Used beyond the prediction for the loaded models; None until a swap has settled."""
    read: float
    """Monotonic time of the reading."""


def parse_gauges(text: bytes, cards: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Read llama-swap's metrics.

    Args:
        text: The metrics.
        cards: The plan's; an only one is the first that llama-swap names.

    Returns:
        Card -> its used and total bytes; without those that llama-swap does not name.
    """
    found: dict[str, dict[bytes, float]] = {}
    for name, number, digits in _GAUGE.findall(text):
        try:
            value = float(digits)
        except ValueError:
            return {}
        if math.isfinite(value) and value >= 0:
            found.setdefault(number.decode(), {}).setdefault(name, value)
    whole = {
        number: (values[b"used"], values[b"total"])
        for number, values in found.items()
        if values.get(b"total") and b"used" in values
    }
    if len(cards) > 1:
        return {card: whole[card] for card in cards if card in whole}
    return dict(zip(cards, whole.values(), strict=False))


class Cards:
    """The last reading of each card."""

    def __init__(self, plan: Plan) -> None:
        """Begin without a reading."""
        self._vram_mib = plan.vram_mib
        self._predicted = {model for model, _ in self._vram_mib}
        self._readings: dict[str, Reading] = {}

    @property
    def readings(self) -> Mapping[str, Reading]:
        """A copy: card -> its last reading."""
        return dict(self._readings)

    def read(
        self,
        card: str,
        used: float,
        total: float,
        *,
        loaded: tuple[str, ...],
        changed: float,
        now: float,
    ) -> None:
        """Note a reading.

        Args:
            card: The card.
            used: Bytes in use.
            total: Bytes of the card.
            loaded: The models that hold memory, on this card or on others.
            changed: When a model last changed its state.
            now: Monotonic time.
        """
        last = self._readings.get(card)
        others = None if last is None else last.others
        if now - changed >= _SETTLED_S:
            ours_mib = sum(self._vram_mib.get((model, card), 0.0) for model in loaded)
            is_known = self._predicted.issuperset(loaded)
            others = max(0.0, used - ours_mib * 2**20) if is_known else None
        self._readings[card] = Reading(used=used, total=total, others=others, read=now)
