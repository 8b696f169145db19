"""The page: its sections in reading order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ops.commands.bench import words
from ops.commands.bench.report import provenance, svg
from ops.commands.bench.report.distributions import distributions
from ops.commands.bench.report.failures import failures_of
from ops.commands.bench.report.forest import forest
from ops.commands.bench.report.gallery import choose, disagreement, extremes
from ops.commands.bench.report.heat_map import heat_map
from ops.commands.bench.report.latency import latency
from ops.commands.bench.report.scatter import scatter
from ops.commands.bench.report.standings import Standings, standings_of
from ops.commands.bench.report.table import model_table
from ops.commands.bench.report.thumbnails import make_thumbnails
from ops.commands.bench.results import Run
from ops.commands.bench.statistics.scores import method_of
from ops.commands.bench.summary import OwnerMetric, Summary
from ops.report.redaction import redact


def render(run: Run, summary: Summary, images: Path, *, thumbnails: bool = True) -> str:
    """Return the report as one HTML file without script or network access.

    Args:
        run: With its answers.
        summary: The run's result.
        images: The directory of the sent bytes, <image_sha256>.jpg.
        thumbnails: Whether the file contains small pictures (default: yes).
    """
    # In every section the models are in the table's order.
    order = [model.id for model in summary.models]
    run = replace(run, models=tuple(sorted(run.models, key=lambda model: order.index(model.id))))
    standings = standings_of(run, summary)
    choice = choose(standings)
    pictures = make_thumbnails(run.photos, choice.wanted(), images) if thumbnails else {}
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            summary=summary,
            style=Markup(style),  # noqa: S704 - a file of this package.
            pictures=pictures.values(),
            with_pictures=thumbnails,
            table=model_table(summary),
            metrics=_metrics(summary),
            keys={model.id: svg.key(place) for place, model in enumerate(run.models)},
            names={model.id: words.cut(model.name or model.id) for model in run.models},
            judged=_judged(summary),
            scatter=scatter(summary),
            forest=forest(summary),
            distributions=distributions(standings),
            criteria=_criteria(standings),
            method=words.METHODS[method_of(run)],
            agreement=heat_map(summary),
            disagreement=disagreement(standings, choice, pictures),
            extremes=extremes(standings, choice, pictures),
            latency=latency(standings),
            failures=failures_of(standings),
            facts=provenance.facts(run),
            command=provenance.command(run),
            source=redact(run.source),
        )
    )


def _metrics(summary: Summary) -> Sequence[tuple[OwnerMetric, str, str]]:
    """List the metrics that any model has, the deciding one first."""
    present = [
        metric
        for metric in words.METRICS
        if any(metric in model.owner for model in summary.models)
    ]
    present.sort(key=lambda metric: metric != summary.verdict.metric)
    return [
        (
            metric,
            words.METRICS[metric][0].replace(" k", f" {summary.top_k}"),
            words.METRICS[metric][1],
        )
        for metric in present
    ]


def _judged(summary: Summary) -> str:
    """Say how many photos the owner has judged."""
    kinds = [
        *([words.count(summary.favourites, "favourite")] if summary.favourites else []),
        *([f"{summary.rated} rated"] if summary.rated else []),
    ]
    return " and ".join(kinds) or "none judged"


def _criteria(standings: Standings) -> Sequence[tuple[str, tuple[str, ...]]]:
    """List each criterion that was asked separately, with each model's mean over its photos."""
    means = {}
    for model in standings.models:
        values: dict[str, list[float]] = defaultdict(list)
        for place in standings.places[model.id]:
            for name, value in place.criteria.items():
                values[name].append(value)
        means[model.id] = {name: fmean(of_criterion) for name, of_criterion in values.items()}
    names = dict.fromkeys(name for own in means.values() for name in own)
    return [(name, tuple(words.number(own.get(name)) for own in means.values())) for name in names]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "breakable": words.breakable,
        "cut": words.cut,
        "interval": words.interval,
        "moment": words.moment,
        "number": words.number,
        "seconds": words.seconds,
    }
    return environment


def _shown(value: Any) -> Any:
    """Clean every text that the template shows."""
    return (
        words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
    )
