"""Names, numbers and classes of failure in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from markupsafe import Markup

from ops.commands.bench.results import Failure, Method
from ops.commands.bench.summary import Interval, OwnerMetric

METRICS: Mapping[OwnerMetric, tuple[str, str]] = {
    "auc": ("AUC", "how often a favourite ranks above another photo; 0.5 is chance"),
    "average_precision": (
        "Average precision",
        "the mean, over your favourites, of the precision down to each",
    ),
    "precision_at_k": ("Precision at k", "the share of favourites among its best k"),
    "ndcg_at_k": ("NDCG at k", "the same, with more weight on the first ranks"),
    "spearman": ("Spearman", "how its order agrees with your ratings: 1 is the same, 0 is chance"),
    "tau": ("Kendall's tau", "the same, pair by pair"),
}
"""Metric -> its name and meaning."""

FAILURES: Mapping[Failure, str] = {
    "image_unreadable": "the photo could not be decoded and was not sent",
    "image_too_large": "the photo has more pixels than are decoded (100 million; JPEG: 500)",
    "image_too_small": "the photo is narrower than 32 pixels once it is shrunk, and was not sent",
    "image_unsupported": "HEIC or camera raw file, which is not decoded: export it as JPEG",
    "image_missing": "the photo was deleted, or Immich has no preview of it",
    "connection": "no answer, after one retry",
    "timeout": "the answer took too long",
    "http_4xx": "the server refused the request",
    "http_5xx": "the server failed",
    "server_500_format": "the server's own parser rejected a finished answer",
    "cut": "the engine stopped in the middle of an answer",
    "empty": "the model's answer is empty",
    "no_logprobs": "the answer came without probabilities",
    "no_label": "none of the scale's labels was among the likely answers",
    "truncated": "the answer was cut at its maximum length",
    "invalid_answer": "the answer does not have the requested form",
    "out_of_range": "the score was outside the scale",
}

METHODS: Mapping[Method | None, str] = {
    "score": "one score per photo",
    "rubric": "criterion by criterion",
    "anchored": "against fixed photos",
    "pairwise": "pair by pair",
    None: "nothing yet",
}
"""Method -> how it asks about the photos."""

MISSING = "\u2013"


def clean(text: str) -> str:
    """Replace control characters, bidirectional marks and half characters."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else "\ufffd"
        for character in text
    )


def cut(text: str, most: int = 60) -> str:
    """Shorten text to one line of at most `most` characters: its start and its end."""
    line = clean(" ".join(text[: 20 * most].split()) if len(text) > 20 * most else text)
    line = " ".join(line.split()) or "(no name)"
    if len(text) > 20 * most:
        line = f"{line} {clean(text[-most:])}"
    if len(line) <= most:
        return line
    tail = most // 4
    return f"{line[: most - tail - 1].rstrip()}…{line[-tail:].lstrip()}"


def breakable(text: str) -> Markup:
    """Let a name break where its parts meet."""
    return Markup("<wbr>").join(re.findall(r"[^/_. -]*[/_. -]*", text))


def number(value: float | None, digits: int = 2) -> str:
    """Return a number in words; a dash if it is missing."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "\u2212")


def seconds(value: float | None) -> str:
    """Return a time with its unit."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{number(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)} s"


def interval(value: Interval | None, digits: int = 2) -> str:
    """Return an interval's ends."""
    if value is None:
        return MISSING
    return f"{number(value.low, digits)} to {number(value.high, digits)}"


def count(amount: int, noun: str) -> str:
    """Return a number of things."""
    return f"{amount:,} {noun if amount == 1 else noun + 's'}"


def moment(at: float) -> str:
    """Return a point in time in UTC, which does not reveal where the report was made."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    except (OverflowError, ValueError, OSError):
        return MISSING
