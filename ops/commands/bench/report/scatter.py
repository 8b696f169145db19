"""Quality against speed, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.chart import MOST_NAMED, NARROW, Chart, chart
from ops.commands.bench.statistics.owner_metrics import CHANCE
from ops.commands.bench.summary import ModelSummary, OwnerMetric, Summary
from ops.commands.bench.words import METRICS, cut, interval, number, seconds

_Point = tuple[int, ModelSummary, float, float]
"""The model's index in the run, its results, seconds, quality."""


def scatter(summary: Summary) -> Chart | str:
    """Draw the points, or return why there are none."""
    metric = summary.verdict.metric
    if metric is None:
        return "Without your favourites or ratings, quality is not known."
    points = [
        (place, model, model.speed.warm_p50_s, model.owner[metric].value)
        for place, model in enumerate(summary.models)
        if metric in model.owner and model.speed.warm_p50_s is not None
    ]
    if not points:
        return "No model has both a quality and the time of a warm answer yet."
    name = METRICS[metric][0]
    return chart(
        id="scatter",
        title=f"{name} against seconds per photo",
        description=(
            f"Higher is better, further left is faster. Vertical bars: 95 % interval of {name}. "
            "Thin lines to the right: from the median time to the time within which 95 % of the "
            "answers come."
        ),
        draw=lambda width: (400, _parts(width, points, metric)),
        columns=("Model", name, "95 % interval", "Median time", "95 % within"),
        rows=[
            (
                cut(model.name or model.id),
                number(quality),
                interval(model.owner[metric]),
                seconds(time),
                seconds(model.speed.warm_p95_s),
            )
            for _, model, time, quality in points
        ],
        legend=[(svg.key(place), cut(model.name or model.id)) for place, model, _, _ in points]
        if len(points) > MOST_NAMED
        else (),
    )


def _parts(width: int, points: Sequence[_Point], metric: OwnerMetric) -> Iterator[Markup]:
    top, bottom, left, right = 26.0, 350.0, 44.0, width - 16.0
    slowest = max(
        time if width == NARROW else max(time, min(model.speed.warm_p95_s or time, 2.5 * time))
        for _, model, time, _ in points
    )
    lows = [model.owner[metric].low for _, model, _, _ in points]
    highs = [model.owner[metric].high for _, model, _, _ in points]
    chance = CHANCE.get(metric)
    low = min([*lows, *([] if chance is None else [chance])])
    high = max([*highs, *([] if chance is None else [chance])])
    room = max(0.02, 0.06 * (high - low))
    limits = (-1.0 if metric in ("spearman", "tau") else 0.0, 1.0)
    x = svg.Scale(low=0, high=slowest * 1.25 or 1.0, start=left, end=right)
    y = svg.Scale(
        low=max(limits[0], low - room), high=min(limits[1], high + room), start=bottom, end=top
    )
    for tick in svg.ticks(y.low, y.high):
        yield svg.line(left, y(tick), right, y(tick), "grid")
        yield svg.text(left - 8, y(tick) + 4, svg.tick_text(tick), "tick", "end")
    for tick in svg.ticks(x.low, x.high, 6 if width > NARROW else 4):
        yield svg.line(x(tick), bottom, x(tick), bottom + 5, "axis")
        yield svg.text(x(tick), bottom + 20, svg.tick_text(tick), "tick", "middle")
    yield svg.line(left, bottom, right, bottom, "axis")
    yield svg.text(left, 14, f"{METRICS[metric][0]} ↑ better", "soft")
    yield svg.text(right, bottom + 40, "seconds per photo ← faster", "soft", "end")
    if chance is not None:
        yield svg.line(left, y(chance), right, y(chance), "chance")
        yield svg.text(right, y(chance) - 6, "chance", "soft", "end")
    for place, model, time, _ in points:
        interval_ = model.owner[metric]
        kind = svg.colour(place)
        yield svg.line(x(time), y(interval_.low), x(time), y(interval_.high), f"bar {kind}")
        slow = model.speed.warm_p95_s
        if slow is not None:
            yield svg.line(
                x(time), y(interval_.value), x(slow), y(interval_.value), f"thin {kind}"
            )
    for place, model, time, quality in points:
        title = f"{cut(model.name or model.id)}: {number(quality)}, {seconds(time)}"
        yield svg.marker(place, x(time), y(quality), title)
    if len(points) <= MOST_NAMED:
        yield from _labels(width, points, metric, x, y, right)


def _labels(
    width: int,
    points: Sequence[_Point],
    metric: OwnerMetric,
    x: svg.Scale,
    y: svg.Scale,
    right: float,
) -> Iterator[Markup]:
    """Put each name beside its mark, or into the next free place above or below."""
    taken: list[tuple[float, float, float, float]] = [
        (x(time) - 7, y(quality) - 7, x(time) + 7, y(quality) + 7)
        for _, _, time, quality in points
    ]
    for _, model, time, quality in points:
        name = cut(model.name or model.id, 26 if width > NARROW else 18)
        length = 7.2 * len(name)
        steps = sorted(range(-9, 10), key=lambda step: (abs(step), step))
        for step in steps:
            before = x(time) + 12 + length > right
            start = x(time) - 12 - length if before else x(time) + 12
            middle = y(quality) - 9 + 15 * step
            box = (start, middle - 7, start + length, middle + 7)
            if 20 < middle < 345 and not any(_overlap(box, placed) for placed in taken):
                break
        taken.append(box)
        anchor = "end" if before else "start"
        yield svg.text(x(time) + (-12 if before else 12), middle + 4, name, "halo", anchor)


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )
