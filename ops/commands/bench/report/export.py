"""The results for other programs: a JSON document, and a CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import Any

from ops.commands.bench.report.standings import standings_of
from ops.commands.bench.results import Run
from ops.commands.bench.statistics.scores import method_of
from ops.commands.bench.summary import Summary
from ops.report.redaction import redact, redact_all

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "|", "%")
"""Spreadsheets take text that starts like this, even after spaces, for a formula."""


def to_json(run: Run, summary: Summary) -> dict[str, Any]:
    """Return the results as plain data; NaN and infinity become null."""
    standings = standings_of(run, summary)
    document = {
        "run": run.id,
        "started_at": run.started_at,
        "source": redact(run.source),
        "method": method_of(run),
        "random_weights": run.random_weights,
        "summary": asdict(summary),
        "models": [asdict(model) for model in run.models],
        "photos": [
            {
                "name": photo.name,
                "image_sha256": photo.image_sha256,
                "asset_id": photo.asset_id,
                "favourite": photo.favourite,
                "rating": photo.rating,
                "models": {
                    model.id: asdict(standings.places[model.id][index]) for model in run.models
                },
            }
            for index, photo in enumerate(run.photos)
        ],
        "provenance": redact_all(dict(run.provenance)),
    }
    plain: dict[str, Any] = _finite(document)
    return plain


def to_csv(run: Run, summary: Summary) -> str:
    """Return one row per photo: the owner's judgement, and each model's score, rank or failure."""
    standings = standings_of(run, summary)
    text = io.StringIO()
    writer = csv.writer(text)
    criteria = {
        model.id: list(dict.fromkeys(name for place in places for name in place.criteria))
        for model, places in zip(run.models, standings.places.values(), strict=True)
    }
    heads = [
        f"{model.id} {what}"
        for model in run.models
        for what in ("score", "rank", "failure", *criteria[model.id])
    ]
    writer.writerow([_cell(head) for head in ("name", "favourite", "rating", *heads)])
    for index, photo in enumerate(run.photos):
        places = [(model.id, standings.places[model.id][index]) for model in run.models]
        writer.writerow(
            [
                _cell(photo.name),
                {True: "yes", False: "no", None: ""}[photo.favourite],
                photo.rating,
                *(
                    _cell(cell)
                    for model, place in places
                    for cell in (
                        place.score,
                        place.rank,
                        place.failure,
                        *(place.criteria.get(name) for name in criteria[model]),
                    )
                ),
            ]
        )
    return text.getvalue()


def _cell(value: str | float | None) -> str | float | None:
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if value is None:
        return None
    # Half of a surrogate pair, as in a broken file name, cannot be written as UTF-8.
    text = value.encode("utf-8", "replace").decode()
    is_formula = text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if is_formula else text


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
