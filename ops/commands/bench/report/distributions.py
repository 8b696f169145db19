"""The distribution of each model's scores, and the owner's favourites among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.chart import NARROW, Chart, chart
from ops.commands.bench.report.standings import Standings
from ops.commands.bench.words import MISSING, count, cut, number

_BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    mark: int
    name: str
    counts: tuple[int, ...]
    favourites: tuple[int, ...]
    median: float
    """0 without scores."""


def distributions(standings: Standings) -> Chart | str:
    """Draw the distributions, or return why there are none."""
    everything = [
        place.score
        for places in standings.places.values()
        for place in places
        if place.score is not None
    ]
    if not everything:
        return "No photo has a score yet."
    low, high = min(everything), max(everything)
    if low >= 1 and high <= 5:
        low, high = 1.0, 5.0
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    known = any(photo.favourite is not None for photo in standings.photos)
    lanes = [_lane(standings, place, low, high) for place in range(len(standings.models))]
    width = (high - low) / _BINS
    return chart(
        id="distributions",
        title="Number of photos per score",
        description=(
            "One row per model. A bar's height is the number of photos with that score"
            + ("; its strong part is your favourites" if known else "")
            + ". The dashed line is the median. A model that gives most photos the same score "
            "hardly tells them apart."
        ),
        draw=lambda pixels: _draw(pixels, lanes, low, high, known=known),
        columns=(
            "Score",
            *(
                f"{cut(lane.name, 30)}{', favourites among them' if known else ''}"
                for lane in lanes
            ),
        ),
        rows=[
            (
                f"{number(low + width * place)} to {number(low + width * (place + 1))}",
                *(_cell(lane, place, known=known) for lane in lanes),
            )
            for place in range(_BINS)
            if any(lane.counts[place] for lane in lanes)
        ]
        + [("Median", *(number(lane.median) if sum(lane.counts) else MISSING for lane in lanes))],
    )


def _cell(lane: _Lane, place: int, *, known: bool) -> str:
    counts = str(lane.counts[place])
    return f"{counts}, {lane.favourites[place]}" if known else counts


def _lane(standings: Standings, mark: int, low: float, high: float) -> _Lane:
    model = standings.models[mark]
    counts, favourites, scores = [0] * _BINS, [0] * _BINS, []
    for photo, place in zip(standings.photos, standings.places[model.id], strict=True):
        if place.score is None:
            continue
        share = (place.score - low) / (high - low)
        index = min(_BINS - 1, int(share * _BINS))
        counts[index] += 1
        favourites[index] += photo.favourite is True
        scores.append(place.score)
    return _Lane(
        mark=mark,
        name=model.name or model.id,
        counts=tuple(counts),
        favourites=tuple(favourites),
        median=median(scores) if scores else 0.0,
    )


def _draw(
    width: int, lanes: Sequence[_Lane], low: float, high: float, *, known: bool
) -> tuple[float, Iterator[Markup]]:
    row = 96 if width == NARROW else 84
    return row * len(lanes) + 40, _parts(width, row, lanes, low, high, known=known)


def _parts(
    width: int, row: int, lanes: Sequence[_Lane], low: float, high: float, *, known: bool
) -> Iterator[Markup]:
    narrow = width == NARROW
    left, right = (8.0, width - 8.0) if narrow else (190.0, width - 12.0)
    x = svg.Scale(low=low, high=high, start=left, end=right)
    bottom = float(row * len(lanes))
    for tick in svg.ticks(low, high):
        yield svg.line(x(tick), 8, x(tick), bottom, "grid")
        yield svg.text(x(tick), bottom + 18, svg.tick_text(tick), "tick", "middle")
    yield svg.text(right, bottom + 36, "score →", "soft", "end")
    if any(sum(lane.favourites) for lane in lanes):
        for x_, kind, words in ((left, "fill", "your favourites"), (left + 120, "pale", "others")):
            yield svg.element(
                "rect", class_=f"{kind} ink", x=x_, y=bottom + 27, width=10, height=10, rx=2
            )
            yield svg.text(x_ + 16, bottom + 36, words, "soft")
    step = (right - left) / _BINS
    for place, lane in enumerate(lanes):
        base = row * (place + 1) - 2.0
        kind = svg.colour(lane.mark)
        total = sum(lane.counts)
        middle = f"median {number(lane.median)}" if total else "no score"
        if narrow:
            yield svg.marker(lane.mark, 14, base - row + 16)
            yield svg.text(28, base - row + 20, f"{cut(lane.name, 24)}, {middle}", "strong halo")
        else:
            yield svg.marker(lane.mark, 10, base - 34)
            yield svg.text(24, base - 30, cut(lane.name, 22), "strong")
            yield svg.text(24, base - 13, middle, "soft")
        tallest = max(1, *lane.counts)
        height = row - 34.0 if narrow else row - 18.0
        for index, amount in enumerate(lane.counts):
            if not amount:
                continue
            tall = height * amount / tallest
            own = height * lane.favourites[index] / tallest
            start = left + step * index + 1
            favourites = f", {lane.favourites[index]} of them favourites" if known else ""
            title = f"{count(amount, 'photo')}{favourites}"
            yield svg.element(
                "rect",
                svg.element("title", title),
                class_=f"pale {kind}",
                x=start,
                y=base - tall,
                width=step - 2,
                height=tall,
            )
            if own:
                yield svg.element(
                    "rect",
                    class_=f"fill {kind}",
                    x=start,
                    y=base - own,
                    width=step - 2,
                    height=own,
                )
        yield svg.line(left, base, right, base, "axis")
        if total:
            yield svg.line(x(lane.median), base, x(lane.median), base - height, "median")
