"""Names, numbers and lists of the verdict's sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ops.commands.bench.results import ModelRun
from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.summary import Interval, ModelSummary
from ops.commands.bench.words import cut, number

RATING_SCALE = "1 is the same order, 0 is chance"
_MOST_NAMED = 3


def value_of(evidence: Evidence, model: ModelSummary) -> str:
    """Return a model's value of the metric, rounded as in the table."""
    assert evidence.metric is not None  # noqa: S101 - for mypy.
    value = model.owner[evidence.metric].value
    return number(100 * round(value, 2), 0) if evidence.metric == "auc" else number(value)


def margin_of(evidence: Evidence) -> str:
    """Return how large a difference has to be to matter."""
    return (
        f"{100 * evidence.margin:g} pairs" if evidence.metric == "auc" else f"{evidence.margin:g}"
    )


def ends(evidence: Evidence, interval: Interval) -> str:
    """Return an interval's ends, with enough digits to show their signs."""
    return f"{_number(evidence, interval.low)} to {_number(evidence, interval.high)}"


def _number(evidence: Evidence, value: float) -> str:
    digits, shown = (0, 100 * value) if evidence.metric == "auc" else (2, value)
    while shown and digits < 5 and float(f"{shown:.{digits}f}") == 0:
        digits += 1
    return number(shown, digits)


def name_of(model: ModelSummary | ModelRun) -> str:
    """Return a model's name, else its id, in one line."""
    return cut(model.name or model.id)


def names_of(models: Sequence[ModelSummary]) -> str:
    """Return the names of several models, or the first ones and how many others there are."""
    names = [name_of(model) for model in models]
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} others"]
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
