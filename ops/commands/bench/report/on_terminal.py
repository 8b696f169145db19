"""The verdict on the terminal, with one row per model."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.commands.bench.summary import Interval, ModelSummary, Summary
from ops.errors import one_line


def show(console: Console, summary: Summary) -> None:
    """Show the verdict, its caveats, and a table of the models."""
    console.print()
    sentence = one_line(summary.verdict.sentence, limit=sys.maxsize)
    console.print(escape(sentence), style="bold", highlight=False)
    for caveat in summary.verdict.caveats:
        console.print(escape(one_line(caveat, limit=600)), style="yellow", highlight=False)
    metric = summary.verdict.metric
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    for name in ("answered", "failed", *([metric] if metric else []), "p50", "p95", "cold"):
        table.add_column(name, justify="right")
    table.add_column("photos in 30 min", justify="right")
    for model in summary.models:
        quality = [_interval(model.owner.get(metric))] if metric else []
        speed = model.speed
        per_window = speed.photos_per_30_min
        table.add_row(
            escape(model.id),
            f"{model.answered} of {model.asked}",
            _failures(model),
            *quality,
            *(
                _seconds(seconds)
                for seconds in (speed.warm_p50_s, speed.warm_p95_s, speed.cold_load_s)
            ),
            "-" if per_window is None else str(per_window),
        )
    console.print(table)


def _failures(model: ModelSummary) -> str:
    return ", ".join(f"{count} {name}" for name, count in model.failures.items()) or "none"


def _interval(value: Interval | None) -> str:
    return "-" if value is None else f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
