"""Differences between models on the same photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.chart import NARROW, Chart, chart
from ops.commands.bench.summary import Difference, Summary
from ops.commands.bench.words import METRICS, cut, interval, number

_MOST = 15
"""With more pairs, only comparisons with the leader are drawn; the table has all."""


def forest(summary: Summary) -> Chart | str:
    """Draw the differences, or return why there are none."""
    metric = summary.verdict.metric
    if len(summary.models) < 2:
        return "With one model there is nothing to compare."
    if metric is None:
        return "Without your favourites or ratings, it is not known which model is better."
    if not summary.differences:
        return "No two models answered enough of the same photos to be compared."
    names = {model.id: model.name or model.id for model in summary.models}
    marks = {model.id: place for place, model in enumerate(summary.models)}
    shown = summary.differences
    if len(shown) > _MOST:
        shown = tuple(difference for difference in shown if difference.better == shown[0].better)
    note = "" if shown is summary.differences else " Only the leader's pairs are drawn."
    name = METRICS[metric][0]
    return chart(
        id="forest",
        title=f"Differences in {name}, two models on the same photos",
        description=(
            "Each bar is the 95 % interval of a difference. To the right of zero the first model "
            f"is better. Within the shaded band of ±{number(summary.margin)} the difference does "
            "not matter. A pair is decided if its p, corrected for all pairs (Holm), is below "
            f"0.05.{note}"
        ),
        draw=lambda width: _draw(width, shown, names, marks, summary.margin),
        columns=("Pair", "Difference", "95 % interval", "p", "p (Holm)", "Result"),
        rows=[
            (
                f"{cut(names[difference.better], 40)} \u2212 {cut(names[difference.worse], 40)}",
                number(difference.difference.value),
                interval(difference.difference),
                _probability(difference.p),
                _probability(difference.p_holm),
                _meaning(difference),
            )
            for difference in summary.differences
        ],
    )


def _probability(value: float) -> str:
    return "below 0.001" if value < 0.0005 else number(value, 3)


def _meaning(difference: Difference) -> str:
    if difference.equivalent:
        return "no difference that matters"
    return "better" if difference.decided else "not decided"


def _draw(
    width: int,
    differences: Sequence[Difference],
    names: Mapping[str, str],
    marks: Mapping[str, int],
    margin: float,
) -> tuple[float, Iterator[Markup]]:
    row = 58 if width == NARROW else 40
    bottom = 34.0 + row * len(differences)
    return bottom + 46, _parts(width, row, bottom, differences, names, marks, margin)


def _parts(
    width: int,
    row: int,
    bottom: float,
    differences: Sequence[Difference],
    names: Mapping[str, str],
    marks: Mapping[str, int],
    margin: float,
) -> Iterator[Markup]:
    narrow = width == NARROW
    left, right = (10.0, width - 10.0) if narrow else (210.0, width - 170.0)
    ends = [
        *(difference.difference.low for difference in differences),
        *(difference.difference.high for difference in differences),
        -margin,
        margin,
    ]
    room = 0.06 * (max(ends) - min(ends))
    x = svg.Scale(low=min(ends) - room, high=max(ends) + room, start=left, end=right)
    # In a narrow drawing each row's text is above its bar, and no line crosses it.
    spans = (
        [(62.0 + row * place, 86.0 + row * place) for place in range(len(differences))]
        if narrow
        else [(24.0, bottom)]
    )
    for top, end in spans:
        yield svg.element(
            "rect",
            class_="margin",
            x=x(-margin),
            y=top,
            width=x(margin) - x(-margin),
            height=end - top,
        )
    words = f"±{number(margin)} does not matter"
    half = 3.2 * len(words)
    middle = min(max(x(0), left + half), right - half)
    yield svg.text(middle, 14, words, "soft", "middle")
    for tick in svg.ticks(x.low, x.high, 4 if narrow else 6):
        for top, end in spans:
            yield svg.line(x(tick), top, x(tick), end, "axis" if tick == 0 else "grid")
        yield svg.text(x(tick), bottom + 18, svg.tick_text(tick), "tick", "middle")
    yield svg.text(right, bottom + 38, "the first model is better →", "soft", "end")
    for place, difference in enumerate(differences):
        start = 34.0 + row * place
        y = start + (40 if narrow else 18)
        kind = svg.colour(marks[difference.better])
        better, worse = cut(names[difference.better], 20), cut(names[difference.worse], 20)
        ends_ = difference.difference
        value = f"{number(ends_.value)} ({interval(ends_)})"
        if narrow:
            yield svg.text(left, start + 10, f"{better} \u2212 {worse}", "strong")
            yield svg.text(left, start + 24, f"{value}, {_meaning(difference)}", "soft")
        else:
            yield svg.marker(marks[difference.better], 10, y - 1)
            yield svg.text(24, y - 4, better, "strong")
            yield svg.text(24, y + 12, f"against {worse}", "soft")
            yield svg.text(right + 14, y - 4, value)
            yield svg.text(right + 14, y + 12, _meaning(difference), "soft")
        yield svg.line(x(ends_.low), y, x(ends_.high), y, f"bar {kind}")
        for end in (ends_.low, ends_.high):
            yield svg.line(x(end), y - 5, x(end), y + 5, f"bar {kind}")
        yield svg.marker(
            marks[difference.better], x(ends_.value), y, f"{better} \u2212 {worse}: {value}"
        )
