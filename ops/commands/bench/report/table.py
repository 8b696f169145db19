"""The table of the models, which page and terminal share."""

from __future__ import annotations

from dataclasses import dataclass

from ops.commands.bench.summary import ModelSummary, OwnerMetric, Summary
from ops.commands.bench.words import METRICS, MISSING, cut, interval, number, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One value."""

    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model."""

    id: str
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """What decides between the models."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    meaning: str
    """What the first column means; empty: quality is not known."""


def model_table(summary: Summary) -> ModelTable:
    """Tabulate quality, if it is known, time and failures; the best model first."""
    metric = summary.verdict.metric
    name, meaning = METRICS[metric] if metric else ("", "")
    return ModelTable(
        columns=(*([name] if metric else []), "Time per photo", "Photos in 30 min", "Failed"),
        rows=tuple(
            Row(
                id=model.id,
                name=cut(model.name or model.id),
                cells=(
                    *([_quality(model, metric)] if metric else []),
                    Cell(value=seconds(model.speed.warm_p50_s)),
                    _per_window(model),
                    _failed(model),
                ),
            )
            for model in summary.models
        ),
        meaning=f"{name}, with its 95 % interval: {meaning}." if metric else "",
    )


def _quality(model: ModelSummary, metric: OwnerMetric) -> Cell:
    value = model.owner.get(metric)
    if value is None:
        return Cell(value=MISSING)
    return Cell(value=number(value.value), detail=interval(value))


def _per_window(model: ModelSummary) -> Cell:
    photos = model.speed.photos_per_30_min
    return Cell(value=MISSING if photos is None else f"{photos:,}")


def _failed(model: ModelSummary) -> Cell:
    if not model.asked:
        return Cell(value=MISSING)
    return Cell(value=f"{sum(model.failures.values())} of {model.asked}")
