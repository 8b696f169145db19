"""The duration of each answer, in the order of asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.chart import NARROW, Chart, chart
from ops.commands.bench.report.standings import Standings
from ops.commands.bench.results import Answer
from ops.commands.bench.words import MISSING, count, cut, number, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    mark: int
    name: str
    answers: tuple[Answer, ...]

    @property
    def cold(self) -> int:
        return sum(answer.cold for answer in self.answers)

    def written(self, place: int) -> str:
        """Return one answer's time in words."""
        answer = self.answers[place]
        notes = [*(["cold"] if answer.cold else []), *([answer.failure] if answer.failure else [])]
        return ", ".join([number(answer.wall_s), *notes])


def latency(standings: Standings) -> Chart | str:
    """Draw the times, or return why there are none."""
    lanes = [
        _Lane(mark=place, name=model.name or model.id, answers=answers)
        for place, model in enumerate(standings.models)
        if (answers := standings.answers[model.id])
    ]
    if not lanes:
        return "Nothing was asked yet."
    warm = sorted(answer.wall_s for lane in lanes for answer in lane.answers if not answer.cold)
    longest = max(answer.wall_s for answer in lanes[0].answers)
    ceiling = 1.5 * warm[int(0.98 * (len(warm) - 1))] if warm else longest
    return chart(
        id="latency",
        title="Seconds per answer, in the order of asking",
        description=(
            "One dot per answer. A ring at the top, with its time, is an answer that waited for a "
            "load: one at the start is expected, a later one means that another client took the "
            "GPU. A cross is a failure. A small triangle at the top is an answer that took longer "
            "than the axis shows."
        ),
        draw=lambda width: _draw(width, lanes, max(ceiling, 1e-3)),
        columns=("Answer", *(f"{cut(lane.name, 30)}, seconds" for lane in lanes)),
        rows=[
            (str(place + 1), *cells)
            for place, cells in enumerate(
                zip_longest(
                    *(
                        [lane.written(place) for place in range(len(lane.answers))]
                        for lane in lanes
                    ),
                    fillvalue=MISSING,
                )
            )
        ],
    )


def _draw(width: int, lanes: Sequence[_Lane], ceiling: float) -> tuple[float, Iterator[Markup]]:
    row = 128 if width == NARROW else 112
    return row * len(lanes) + 44, _parts(width, row, lanes, ceiling)


def _parts(width: int, row: int, lanes: Sequence[_Lane], ceiling: float) -> Iterator[Markup]:
    narrow = width == NARROW
    left, right = (34.0, width - 8.0) if narrow else (226.0, width - 12.0)
    most = max(len(lane.answers) for lane in lanes)
    x = svg.Scale(low=1, high=max(2, most), start=left + 8, end=right - 8)
    for place, lane in enumerate(lanes):
        bottom = row * (place + 1) - 8.0
        top = bottom - (row - 50 if narrow else row - 36)
        y = svg.Scale(low=0, high=ceiling, start=bottom, end=top)
        summary = f"{count(len(lane.answers), 'answer')}, {lane.cold} cold"
        if narrow:
            yield svg.marker(lane.mark, 10, top - 30)
            yield svg.text(24, top - 26, f"{cut(lane.name, 22)}, {summary}", "strong")
        else:
            yield svg.marker(lane.mark, 10, top + 6)
            yield svg.text(24, top + 10, cut(lane.name, 20), "strong")
            yield svg.text(24, top + 27, summary, "soft")
        for tick in svg.ticks(0, ceiling, 3):
            yield svg.line(left, y(tick), right, y(tick), "axis" if tick == 0 else "grid")
            yield svg.text(left - 6, y(tick) + 4, svg.tick_text(tick), "tick", "end")
        yield from _dots(lane, x, y, ceiling)
    bottom = float(row * len(lanes))
    for tick in svg.ticks(1, max(2, most), 4 if narrow else 8):
        if tick == int(tick):
            yield svg.text(x(tick), bottom + 8, svg.tick_text(tick), "tick", "middle")
    yield svg.text(right, bottom + 30, "number of the answer →", "soft", "end")


def _dots(lane: _Lane, x: svg.Scale, y: svg.Scale, ceiling: float) -> Iterator[Markup]:
    """Draw warm answers as one path of dots: a thousand elements would render slowly."""
    dots, high, crosses = [], [], []
    last_label = -1e9
    for place, answer in enumerate(lane.answers, start=1):
        took = answer.wall_s
        if answer.cold:
            yield svg.element("circle", class_="cold", cx=x(place), cy=y(ceiling), r=4.5)
            if x(place) - last_label > 70:
                last_label = x(place)
                end = x(place) > x.end - 70
                yield svg.text(
                    x(place) + (-8 if end else 8),
                    y(ceiling) - 6,
                    f"cold {seconds(took)}",
                    "soft halo",
                    "end" if end else None,
                )
        elif answer.failure is not None:
            crosses.append(f"M{x(place):.1f} {y(took):.1f}m-3 -3l6 6m0 -6l-6 6")
        elif took > ceiling:
            high.append(f"M{x(place):.1f} {y(ceiling):.1f}m-4 3l4 -7l4 7z")
        else:
            dots.append(f"M{x(place):.1f} {y(took):.1f}h0")
    kind = svg.colour(lane.mark)
    if dots:
        yield svg.element("path", d="".join(dots), class_=f"dots {kind}")
    if high:
        yield svg.element("path", d="".join(high), class_=f"fill {kind}")
    if crosses:
        yield svg.element("path", d="".join(crosses), class_="crosses")
