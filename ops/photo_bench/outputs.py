"""What a run is written as: report, JSON, CSV, and a few lines on the terminal."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.photo_bench import parts
from ops.photo_bench.answers import load
from ops.photo_bench.jsonl import write_whole
from ops.photo_bench.results import Run
from ops.photo_bench.summary import Interval, ModelSummary, Summary
from ops.smoke.outcome import one_line
from ops.terminal import CONSOLE, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asked for."""

    as_json: bool = False
    export_csv: bool = False
    thumbnails: bool = True
    top_k: int | None = None
    """None: the statistics choose."""
    seed: int = 1


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes what begins with one of these."""

_CSV_COLUMNS = (
    "model", "photo", "image_sha256", "method", "order", "score", "failure", "spread", "mass",
    "wall_s", "server_s", "prompt_tokens", "answer_tokens", "cold", "attempt", "favourite",
    "rating", "raw",
)  # fmt: skip


def as_json(run: Run, summary: Summary) -> dict[str, Any]:
    """Write the results for a program."""
    return {
        "run": run.id,
        "source": run.source,
        "started_at": run.started_at,
        "random_weights": run.random_weights,
        "summary": asdict(summary),
        "models": [asdict(model) for model in run.models],
        "provenance": run.provenance,
    }


def to_json(run: Run, summary: Summary) -> str:
    """Write the results as text; what a name holds is escaped to ASCII."""
    return json.dumps(as_json(run, summary), indent=2, default=str)


def to_csv(run: Run) -> str:
    """Write one line an answer; a name that a spreadsheet would compute is quoted by `'`."""
    photos = {photo.image_sha256: photo for photo in reversed(run.photos)}
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS)
    writer.writeheader()
    for answer in run.answers:
        photo = photos.get(answer.key.image_sha256)
        values = {
            **asdict(answer),
            **asdict(answer.key),
            "photo": "" if photo is None else photo.name,
            "favourite": None if photo is None else photo.favourite,
            "rating": None if photo is None else photo.rating,
        }
        writer.writerow({name: _cell(values[name]) for name in _CSV_COLUMNS})
    return text.getvalue()


def write_outputs(run_dir: Path, wanted: Wanted) -> None:
    """Summarise a run, write its report, and show the verdict.

    Raises:
        OpsError: when it is no run, or a file cannot be written.
    """
    run = load(run_dir)
    summary = parts.summarise(run, top_k=wanted.top_k, seed=wanted.seed)
    html = parts.render(run, summary, run_dir / "images", thumbnails=wanted.thumbnails)
    write_whole(run_dir / "report.html", html)
    if wanted.export_csv:
        write_whole(run_dir / "answers.csv", to_csv(run))
    if wanted.as_json:
        typer.echo(to_json(run, summary))
        return
    show(CONSOLE, run, summary)
    for name in ("report.html", "answers.csv") if wanted.export_csv else ("report.html",):
        say(f"wrote {run_dir / name}")


def show(console: Console, run: Run, summary: Summary) -> None:
    """Show the verdict and one line a model."""
    console.print()
    console.print(
        escape(one_line(summary.verdict.sentence, limit=600)), style="bold", highlight=False
    )
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
            *(_seconds(each) for each in (speed.warm_p50_s, speed.warm_p95_s, speed.cold_load_s)),
            "-" if per_window is None else str(per_window),
        )
    console.print(table)


def _failures(model: ModelSummary) -> str:
    return ", ".join(f"{count} {name}" for name, count in model.failures.items()) or "none"


def _interval(value: Interval | None) -> str:
    return "-" if value is None else f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return "" if value is None else value
    return f"'{value}" if value.startswith(_FORMULA) else value
