"""Differences between models on the same photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.chart import NARROW, Chart, chart
from ops.commands.bench.report.words import METRICS, cut, interval, number
from ops.commands.bench.summary import Difference, Summary

_MOST = 15
"""Beyond it only comparisons with the leader are drawn; the table has all."""


def forest(summary: Summary) -> Chart | str:
    """Draw them; or say why there are none."""
    metric = summary.verdict.metric
    if len(summary.models) < 2:
        return "With one model there is nothing to compare."
    if metric is None:
        return "Which model is better is not known without your favourites or ratings."
    if not summary.differences:
        return "No two models answered enough of the same photos to be compared."
    names = {each.id: each.name or each.id for each in summary.models}
    marks = {each.id: place for place, each in enumerate(summary.models)}
    shown = summary.differences
    if len(shown) > _MOST:
        shown = tuple(each for each in shown if each.better == shown[0].better)
    name = METRICS[metric][0]
    return chart(
        id="forest",
        title=f"Differences in {name}, two models on the same photos",
        description=(
            "Each bar is the 95 % interval of a difference. To the right of zero the first model "
            f"is better; within the shaded band of ±{number(summary.margin)} it does not matter. "
            "A pair is decided if that holds with all pairs counted (Holm)."
            + ("" if shown is summary.differences else " Drawn are those with the leading model.")
        ),
        draw=lambda width: _draw(width, shown, names, marks, summary.margin),
        columns=("Pair", "Difference", "95 % interval", "p", "p (Holm)", "What it means"),
        rows=[
            (
                f"{cut(names[each.better], 40)} \u2212 {cut(names[each.worse], 40)}",
                number(each.difference.value),
                interval(each.difference),
                _probability(each.p),
                _probability(each.p_holm),
                _meaning(each),
            )
            for each in summary.differences
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
        *(each.difference.low for each in differences),
        *(each.difference.high for each in differences),
        -margin,
        margin,
    ]
    room = 0.06 * (max(ends) - min(ends))
    x = svg.Scale(low=min(ends) - room, high=max(ends) + room, start=left, end=right)
    # In a narrow drawing each row's text stands above its bar: nothing is drawn through it.
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
    yield svg.text(right, bottom + 38, "the first is better →", "soft", "end")
    for place, each in enumerate(differences):
        start = 34.0 + row * place
        y = start + (40 if narrow else 18)
        kind = svg.colour(marks[each.better])
        better, worse = cut(names[each.better], 20), cut(names[each.worse], 20)
        ends_ = each.difference
        value = f"{number(ends_.value)} ({interval(ends_)})"
        if narrow:
            yield svg.text(left, start + 10, f"{better} \u2212 {worse}", "strong")
            yield svg.text(left, start + 24, f"{value}, {_meaning(each)}", "soft")
        else:
            yield svg.marker(marks[each.better], 10, y - 1)
            yield svg.text(24, y - 4, better, "strong")
            yield svg.text(24, y + 12, f"against {worse}", "soft")
            yield svg.text(right + 14, y - 4, value)
            yield svg.text(right + 14, y + 12, _meaning(each), "soft")
        yield svg.line(x(ends_.low), y, x(ends_.high), y, f"bar {kind}")
        for end in (ends_.low, ends_.high):
            yield svg.line(x(end), y - 5, x(end), y + 5, f"bar {kind}")
        yield svg.marker(
            marks[each.better], x(ends_.value), y, f"{better} \u2212 {worse}: {value}"
        )
