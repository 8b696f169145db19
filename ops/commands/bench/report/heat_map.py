"""How far the models agree with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.chart import MOST_NAMED, NARROW, Chart, chart
from ops.commands.bench.summary import Summary
from ops.commands.bench.words import cut, number


def heat_map(summary: Summary) -> Chart | str:
    """Draw the heat map, or return why there is none."""
    agreement = summary.agreement
    if len(agreement.models) < 2:
        return "Fewer than two models answered enough questions to be compared."
    if summary.common < 2:
        return "The models have fewer than two photos in common, so nothing can be ranked."
    names = {model.id: model.name or model.id for model in summary.models}
    marks = {model.id: place for place, model in enumerate(summary.models)}
    rows = [(marks[model], names[model]) for model in agreement.models]
    return chart(
        id="agreement",
        title="Spearman's correlation of the models' rankings",
        description=(
            f"On the {summary.common} photos that all of them answered: 1 is the same order, 0 is "
            "no relation. The stronger a cell's colour, the further from 0; negative values "
            "have another colour."
        ),
        draw=lambda width: _draw(width, rows, agreement.spearman),
        columns=(
            "Pair",
            "Spearman",
            "Kendall's tau",
            f"Share of common photos among the best {summary.top_k}",
        ),
        rows=[
            (
                f"{cut(rows[first][1], 40)} and {cut(rows[second][1], 40)}",
                number(agreement.spearman[first][second]),
                number(agreement.tau[first][second]),
                number(agreement.top_k[first][second]),
            )
            for first, second in combinations(range(len(rows)), 2)
        ],
        legend=[(svg.key(mark), cut(name)) for mark, name in rows]
        if len(rows) > MOST_NAMED
        else (),
    )


def _draw(
    width: int, rows: Sequence[tuple[int, str]], values: Sequence[Sequence[float]]
) -> tuple[float, Iterator[Markup]]:
    left = 210.0 if width > NARROW else 120.0 if len(rows) <= MOST_NAMED else 28.0
    cell = min(84.0, (width - left - 4) / len(rows))
    tall = min(cell, 48.0)
    return 34 + tall * len(rows), _parts(width, left, cell, tall, rows, values)


def _parts(
    width: int,
    left: float,
    cell: float,
    tall: float,
    rows: Sequence[tuple[int, str]],
    values: Sequence[Sequence[float]],
) -> Iterator[Markup]:
    most = 24 if width > NARROW else 12
    for row, (mark, name) in enumerate(rows):
        y = 28 + tall * (row + 0.5)
        yield svg.marker(mark, 10, y)
        if left > 100:
            yield svg.text(24, y + 4, cut(name, most), "strong")
        yield svg.marker(mark, left + cell * (row + 0.5), 14, cut(name))
        for column, value in enumerate(values[row]):
            x = left + cell * column
            if row == column:
                continue
            title = f"{cut(name)} and {cut(rows[column][1])}: {number(value)}"
            yield svg.element(
                "rect",
                svg.element("title", title),
                class_="heat" if value >= 0 else "heat against",
                style=f"fill-opacity:{0.08 + 0.42 * min(1.0, abs(value)):.2f}",
                x=x + 1,
                y=y - tall / 2 + 1,
                width=cell - 2,
                height=tall - 2,
                rx=4,
            )
            small = cell < 36
            words = number(value).replace("0.", ".", 1) if small else number(value)
            kind = "cell small" if small else "cell"
            yield svg.text(x + cell / 2, y + 4.5, words, kind, "middle")
