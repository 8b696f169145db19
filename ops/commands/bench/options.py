"""The options of a command, merged with those that an existing run has recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ops.commands.bench.album.photos_from import PhotosFrom
from ops.commands.bench.answers import header_of, read_journal
from ops.commands.bench.next_command import report_command
from ops.commands.bench.outputs import Wanted
from ops.commands.bench.session import Settings
from ops.errors import OpsError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of one command."""

    settings: Settings
    given: frozenset[str]
    """Names of the settings that were typed; a resumed run keeps its own for the others."""
    run_dir: Path | None
    anew: bool
    retry_failed: bool
    """Whether to retry failures that were not caused by the photo."""
    rubric: Path | None
    url: str | None
    engine_build: str | None
    """The llama.cpp build that serves; None: not known."""
    window_s: int | None
    in_window_s: int | None
    """Length of the window in which this command runs inside itself; None: no window."""
    within_s: int | None
    timeout_s: float
    outputs: Wanted


def pool_of(run_dir: Path | None, typed: str | None, declared: Sequence[str]) -> str:
    """Return the pool to ask: that of the run which is resumed, else the typed or the first one.

    Args:
        run_dir: The run's directory; None: a new run, or the last one of the same options.
        typed: The pool that the operator named.
        declared: All pools, the first one first.

    Raises:
        OpsError: when the run was started on another pool.
    """
    header = None if run_dir is None else header_of(run_dir)
    if header is None:
        return declared[0] if typed is None else typed
    begun: str = header["settings"].get("pool", declared[0])
    if begun not in declared or typed not in (None, begun):
        raise OpsError(
            f"--pool is {typed or begun}, but {run_dir} was started on pool {begun}, and a run "
            f"compares models of one pool ({', '.join(declared)}). Omit --pool, or start another "
            "run."
        )
    return begun


def completed_from_run(options: RunOptions) -> RunOptions:
    """Complete the options from the run that is resumed; without one, return them unchanged.

    Raises:
        OpsError: when there is neither a run nor photos, or an option differs that a run cannot
            change.
    """
    run_dir = options.run_dir
    header = None if run_dir is None else header_of(run_dir)
    if run_dir is None or header is None:
        if options.settings.source.text is None:
            raise OpsError(
                f"--run is {run_dir}, which is not a run yet. Pass a folder of photos, or "
                "--immich and --album, to start one there."
            )
        return options
    typed, begun = options.settings, header["settings"]
    sessions = read_journal(run_dir, "session")
    kept = sessions[-1]["settings"] if sessions else begun
    _check_source(run_dir, header, typed.source)
    if typed.sample is not None and (begun["sample"] is None or typed.sample < begun["sample"]):
        has = "all photos" if begun["sample"] is None else f"{begun['sample']} photos"
        raise OpsError(
            f"--sample is {typed.sample}, but {run_dir} was started with {has}, and a run only "
            "grows. Omit --sample, or start another run."
        )
    settings = _with_kept(options, kept)
    if settings.method == "pairwise" and (typed.sample or 0) > (kept["sample"] or 0):
        raise OpsError(
            f"--sample is {typed.sample}, but --method pairwise asks about a shortlist. Use "
            "--shortlist for a longer one, or --method score for more photos."
        )
    if "seed" in options.given and typed.seed != begun["seed"]:
        raise OpsError(
            f"--seed is {typed.seed}; expected {begun['seed']}, with which {run_dir} was started. "
            "Omit --seed, or start another run."
        )
    asked = dict.fromkeys(model["id"] for session in sessions for model in session["models"])
    settings = replace(
        settings,
        source=PhotosFrom.of(begun["source"]),
        models=typed.models or tuple(asked or begun["models"]),
        sample=max(typed.sample, kept["sample"]) if typed.sample else kept["sample"],
        seed=begun["seed"],
        random_weights=begun["random_weights"],
        lock=typed.lock or kept["lock"],
    )
    return replace(options, settings=settings)


def _with_kept(options: RunOptions, kept: Mapping[str, Any]) -> Settings:
    as_before = ("method", "anchors", "shortlist", "pairs_per_photo")
    changes = {name: kept[name] for name in as_before if name not in options.given}
    return replace(options.settings, **changes)


def _check_source(run_dir: Path, header: Mapping[str, Any], source: PhotosFrom) -> None:
    """Refuse other photos, or another judgement, than the run was started with.

    Raises:
        OpsError: when they differ.
    """
    typed, begun = source.as_document(), header["settings"]["source"]
    if source.text and any(typed[name] != begun[name] for name in ("folder", "immich", "album")):
        raise OpsError(
            f"the photos are {source.text!r}; expected {header['source']!r}, with which {run_dir} "
            "was started. Omit them, or pass another --run."
        )
    if source.judgement is not None and typed["judgement"] != begun["judgement"]:
        raise OpsError(
            f"--judgement is {str(source.judgement)!r}; expected {begun['judgement'] or 'none'}, "
            f"with which {run_dir} was started. Read it again with "
            f"`{report_command(run_dir, '--judge-again')}`."
        )
