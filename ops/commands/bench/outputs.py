"""The outputs of a run: report, JSON, CSV, and the verdict on the terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from ops.commands.bench.answers import load
from ops.commands.bench.jsonl import write_whole
from ops.commands.bench.report.export import to_csv, to_json
from ops.commands.bench.report.on_terminal import show
from ops.commands.bench.report.page import render
from ops.commands.bench.results import Method
from ops.commands.bench.statistics.summarise import summarise
from ops.errors import OpsError
from ops.report.terminal import CONSOLE, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The requested outputs."""

    method: Method | None = None
    """Show the answers by this method (default: the last one asked)."""
    as_json: bool = False
    export_csv: bool = False
    thumbnails: bool | None = None
    """Default: as in the run's last session."""
    top_k: int | None = None
    """Default: chosen by the statistics."""
    seed: int | None = None
    """Default: the run's."""


def write_outputs(run_dir: Path, wanted: Wanted) -> None:
    """Summarise a run, write its report, and show the verdict.

    Raises:
        OpsError: when it is not a run, was never asked by the method, or is not writable.
    """
    run = load(run_dir)
    if wanted.method is not None:
        run = replace(run, method=wanted.method)
        asked = sorted({answer.key.method for answer in run.answers})
        if wanted.method not in asked:
            raise OpsError(
                f"--method is {wanted.method!r}; expected one by which {run_dir} was asked: "
                f"{', '.join(asked) or 'none yet'}"
            )
    seed = run.provenance["settings"].get("seed", 1) if wanted.seed is None else wanted.seed
    summary = summarise(run, top_k=wanted.top_k, seed=seed)
    thumbnails = wanted.thumbnails
    if thumbnails is None:
        thumbnails = bool(run.provenance["thumbnails"])
    html = render(run, summary, run_dir / "images", thumbnails=thumbnails)
    write_whole(run_dir / "report.html", html)
    if wanted.export_csv:
        write_whole(run_dir / "scores.csv", to_csv(run, summary))
    if wanted.as_json:
        sys.stdout.write(f"{json.dumps(to_json(run, summary), indent=2)}\n")
        sys.stdout.flush()  # Without a flush, a closed pipe would fail at exit instead of here.
        return
    show(CONSOLE, summary)
    for name in ("report.html", "scores.csv") if wanted.export_csv else ("report.html",):
        say(f"wrote {run_dir / name}")
