"""What each model gives by each criterion of the rubric, where it was asked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ops.commands.bench.report.standings import Standings
from ops.commands.bench.report.words import number


def criteria_of(standings: Standings) -> Sequence[tuple[str, tuple[str, ...]]]:
    """Give each criterion with each model's mean over its photos; none: they were not asked."""
    places = [place for own in standings.places.values() for place in own]
    names = dict.fromkeys(name for place in places for name in place.criteria)
    return [
        (
            name,
            tuple(_mean(standings, model.id, name) for model in standings.models),
        )
        for name in names
    ]


def _mean(standings: Standings, model: str, name: str) -> str:
    values = [place.criteria[name] for place in standings.places[model] if name in place.criteria]
    return number(fmean(values) if values else None)
