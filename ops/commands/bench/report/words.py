"""Names, numbers and classes of failure, as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from markupsafe import Markup

from ops.commands.bench.results import Failure, Method
from ops.commands.bench.summary import Interval, OwnerMetric

METRICS: Mapping[OwnerMetric, tuple[str, str]] = {
    "auc": ("AUC", "how often a favourite is placed above another photo; 0.5 is chance"),
    "average_precision": ("Average precision", "how pure the list is down to each favourite"),
    "precision_at_k": ("Precision at k", "share of favourites among its best k"),
    "ndcg_at_k": ("NDCG at k", "the same, where the first places count more"),
    "spearman": ("Spearman", "its order against your ratings: 1 is the same, 0 is chance"),
    "tau": ("Kendall's tau", "the same, pair by pair"),
}
"""Metric -> its name, and what it means."""

FAILURES: Mapping[Failure, str] = {
    "image_unreadable": "the photo could not be decoded, so nobody was asked",
    "image_too_large": "the photo has more pixels than are decoded, so nobody was asked",
    "image_unsupported": "HEIC or a camera's raw file, which is not decoded: export it as JPEG",
    "image_missing": "it was deleted meanwhile, or Immich does not have its picture",
    "connection": "no answer came, after one more attempt",
    "timeout": "the answer took too long",
    "http_4xx": "the server refused the request",
    "http_5xx": "the server failed",
    "server_500_format": "the server's own parser gave up on a finished answer",
    "cut": "the engine ended in the middle of an answer",
    "empty": "the model ended its answer before it began",
    "no_logprobs": "the answer came without probabilities",
    "no_label": "none of the scale's labels was among the likely answers",
    "truncated": "the answer was cut at its longest length",
    "invalid_answer": "the answer was not of the form that was asked for",
    "out_of_range": "the score was outside the scale",
}

METHODS: Mapping[Method | None, str] = {
    "score": "one score each",
    "rubric": "criterion by criterion",
    "anchored": "against fixed photos",
    "pairwise": "pair by pair",
    None: "nothing yet",
}
"""Method -> how the photos were asked about."""

MISSING = "\u2013"


def clean(text: str) -> str:
    """Replace what is not to be seen or turns text around: control, bidi and half characters."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)


def cut(text: str, most: int = 60) -> str:
    """Give text of one line, at most so many characters of it: the start and the end."""
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
    """Write a number; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "\u2212")


def seconds(value: float | None) -> str:
    """Write a time with its unit."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{number(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)} s"


def interval(value: Interval | None, digits: int = 2) -> str:
    """Write an interval's ends."""
    if value is None:
        return MISSING
    return f"{number(value.low, digits)} to {number(value.high, digits)}"


def count(amount: int, noun: str) -> str:
    """Write a number of things."""
    return f"{amount:,} {noun if amount == 1 else noun + 's'}"


def moment(at: float) -> str:
    """Write a point in time, in UTC: the report says nothing of where it was made."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    except (OverflowError, ValueError, OSError):
        return MISSING
