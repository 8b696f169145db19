"""What the owner can do next, each with a command that works as it is printed."""

from __future__ import annotations

from collections.abc import Iterator

from ops.commands.bench.next_command import report_command, resume_command
from ops.commands.bench.results import Run
from ops.commands.bench.statistics.scores import method_of
from ops.commands.bench.statistics.standing import Evidence
from ops.commands.bench.summary import Step


def steps(run: Run, evidence: Evidence, more_photos: int | None) -> Iterator[Step]:
    """List the steps, the most useful first.

    Args:
        run: With its answers.
        evidence: For the verdict.
        more_photos: Number of further photos that would decide; None: not known.
    """
    if evidence.models and evidence.metric is None:
        yield Step(
            why="Mark favourites or give ratings, in Immich or in favourites.csv beside the "
            "photos, before you look at the scores; 50 favourites among 100 photos, or 100 "
            "ratings, show a large difference. Then read them, without asking a model:",
            command=report_command(run.run_dir, "--judge-again"),
        )
    if more_photos is not None:
        yield from _ask_more(run, more_photos)
    shown = method_of(run)
    for method in sorted({answer.key.method for answer in run.answers} - {shown}):
        yield Step(
            why=f"This report is by the method {shown}. For the answers by {method}:",
            command=report_command(run.run_dir, "--method", method),
        )


def _ask_more(run: Run, more_photos: int) -> Iterator[Step]:
    """Ask about the run's other photos, or draw more, if there are any."""
    if method_of(run) == "pairwise":
        # It asks about its shortlist only, whatever the number of photos.
        return
    asked = {(answer.model, answer.key.image_sha256) for answer in run.answers}
    left = sum(
        photo.failure is None
        and not all((model.id, photo.image_sha256) in asked for model in run.models)
        for photo in run.photos
    )
    sample, album_photos = run.provenance.get("sample"), run.provenance.get("album_photos", 0)
    options: tuple[str, ...] = ()
    if left < more_photos and sample is not None and sample < album_photos:
        options = ("--sample", str(min(album_photos, sample + more_photos - left)))
    elif not left:
        return
    yield Step(
        why="To ask about more photos, and repeat none of these:",
        command=resume_command(run.run_dir, *run.reached_by, *options),
    )
