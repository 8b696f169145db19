"""Turn the raw logprobs of one token into a score over the labels.

llama-server computes logprobs before grammar and temperature, so the labels are normalised here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.commands.bench.asking.numbers import finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An expected score."""

    score: float
    spread: float
    """Standard deviation over the labels."""
    mass: float
    """Probability of all labels together, before normalisation."""


def label_logprobs(
    token: Any, labels: Sequence[str], token_ids: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Find the labels among the likeliest tokens at one position of the answer.

    Args:
        token: One element of `logprobs.content`.
        labels: The labels.
        token_ids: Label -> its token in this model (default: match by exact text).

    Returns:
        Label -> raw logprob, without labels that are not shown or have no finite logprob.
    """
    by_text: dict[str, float] = {}
    by_id: dict[int, float] = {}
    shown = token.get("top_logprobs") if isinstance(token, dict) else None
    for entry in shown if isinstance(shown, list) else []:
        value = finite(entry.get("logprob")) if isinstance(entry, dict) else None
        if value is None:
            continue
        # The likelier of two tokens with equal text comes first.
        by_text.setdefault(str(entry.get("token")), value)
        if isinstance(entry.get("id"), int):
            by_id.setdefault(entry["id"], value)
    logprobs: dict[str, float] = {}
    for label in labels:
        known = (token_ids or {}).get(label)
        value_of = by_text.get(label) if known is None or not by_id else by_id.get(known)
        if value_of is not None:
            logprobs[label] = value_of
    return logprobs


def expected(logprobs: Mapping[str, float], values: Mapping[str, float]) -> Expected:
    """Normalise over the labels that are shown; a missing label counts as impossible.

    Args:
        logprobs: Label -> raw logprob, at least one.
        values: Label -> its value.
    """
    highest = max(logprobs.values())
    weights = {label: math.exp(logprob - highest) for label, logprob in logprobs.items()}
    total = sum(weights.values())
    mean = sum(values[label] * weight for label, weight in weights.items()) / total
    variance = sum((values[label] - mean) ** 2 * weight for label, weight in weights.items())
    return Expected(
        score=mean,
        spread=math.sqrt(variance / total),
        mass=min(1.0, math.exp(min(0.0, highest)) * total),
    )
