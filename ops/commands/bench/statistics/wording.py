"""Names, numbers and lists of the verdict's sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.summary import Interval, ModelSummary

RATING_SCALE = "1 is the same order, 0 is chance"


def scale(evidence: Evidence) -> str:
    """Return what the deciding metric's numbers are to be compared with."""
    return "50 is chance" if evidence.metric == "auc" else RATING_SCALE


def value_of(evidence: Evidence, model: ModelSummary) -> str:
    """Return a model's value of the metric."""
    assert evidence.metric is not None  # noqa: S101 - for mypy.
    value = model.owner[evidence.metric].value
    return f"{100 * value:.0f}" if evidence.metric == "auc" else f"{value:.2f}"


def margin_of(evidence: Evidence) -> str:
    """Return how large a difference has to be to matter."""
    shown = 100 * evidence.margin if evidence.metric == "auc" else evidence.margin
    return f"{shown:g}"


def ends(evidence: Evidence, interval: Interval) -> str:
    """Return an interval's ends."""
    return f"{number(evidence, interval.low)} to {number(evidence, interval.high)}"


def number(evidence: Evidence, value: float) -> str:
    """Return a difference or an end of an interval with enough digits to show its sign."""
    digits, shown = (1, 100 * value) if evidence.metric == "auc" else (2, value)
    while shown and digits < 5 and float(f"{shown:.{digits}f}") == 0:
        digits += 1
    return f"{shown:.{digits}f}"


def name_of(model: ModelSummary) -> str:
    """Return a model's name, else its id."""
    return model.name or model.id


def names_of(models: Sequence[ModelSummary], joint: str = "and") -> str:
    """Return the names of several models."""
    return listed([name_of(model) for model in models], joint)


def listed(words: Sequence[str], joint: str = "and") -> str:
    """Join words as in a sentence."""
    *most, last = words
    return f"{', '.join(most)} {joint} {last}" if most else last


def seconds_of(value: float) -> str:
    """Return a time with its unit."""
    return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
