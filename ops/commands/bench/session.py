"""One session of a run: start or resume it, and list what to ask."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import shlex
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from llama_swap_config.lock.locked import LockedModel
from ops.commands.bench.album.judge_again import read_judgement_again
from ops.commands.bench.album.photos_from import PhotosFrom
from ops.commands.bench.answers import Journal, create, header_of, load, read_journal, with_loads
from ops.commands.bench.asking import schedule
from ops.commands.bench.asking.methods import TOP_LOGPROBS, Prompt
from ops.commands.bench.asking.rubric import Rubric, as_document
from ops.commands.bench.asking.schedule import Unit
from ops.commands.bench.results import Method, ModelRun, Photo
from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.report.redaction import redact_all
from ops.report.terminal import Say

RUNS = ROOT / "bench-runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options that identify a run: the same command resumes an unfinished one."""

    source: PhotosFrom
    models: tuple[str, ...] = ()
    """Default: all vision models."""
    method: Method = "score"
    sample: int | None = None
    """Default: all photos."""
    seed: int = 1
    random_weights: bool = False
    lock: str | None = None
    """Default: the repository's models.lock.json."""
    anchors: int = 3
    """Number of photos with which each photo is compared, by the method anchored."""
    shortlist: int = 20
    """Number of photos that are compared pair by pair, by the method pairwise."""
    pairs_per_photo: int = 5
    """The average."""
    pool: str | None = None
    """The pool whose endpoint is asked; None where there is only one."""

    def as_document(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        document = asdict(self) | {
            "source": self.source.as_document(),
            "models": list(self.models),
        }
        if self.pool is None:
            # A run of before there were pools has no such setting.
            del document["pool"]
        return document


def begin(settings: Settings, run_dir: Path | None, *, anew: bool, say: Say) -> Path:
    """Find the run to resume, or create one.

    Args:
        settings: The typed options.
        run_dir: Its directory (default: the last run of the same command if it is unfinished,
            else a new one under bench-runs/).
        anew: Whether to ignore an unfinished run.
        say: Takes a line for the operator.

    Raises:
        OpsError: when the directory contains something else, or is inside the photo folder.
    """
    if run_dir is None and not anew:
        unfinished = _unfinished(settings)
        if unfinished is not None:
            say(f"resuming {unfinished}; --new starts another run")
            return unfinished
    moment = time.strftime("%Y-%m-%d-%H%M%S")
    chosen = run_dir or _unused(moment)
    if header_of(chosen) is not None:
        return chosen
    folder = settings.source.folder
    if folder is not None and chosen.resolve().is_relative_to(folder.resolve()):
        raise OpsError(
            f"--run is {chosen}; expected a directory outside the photo folder {folder}"
        )
    create(
        chosen,
        {
            "id": f"{moment}-{secrets.token_hex(2)}",
            "started_at": time.time(),
            "source": settings.source.text,
            "random_weights": settings.random_weights,
            "settings": settings.as_document(),
        },
    )
    return chosen


def _unused(name: str) -> Path:
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(RUNS / candidate for candidate in names if not (RUNS / candidate).exists())


def _unfinished(settings: Settings) -> Path | None:
    wanted = settings.as_document()
    for path in sorted(RUNS.glob("*/run.json"), reverse=True):
        # A directory that cannot be read is not one of ours.
        with suppress(OpsError):
            header = header_of(path.parent)
            if header is not None and header["settings"] == wanted:
                return None if _is_finished(path.parent) else path.parent
    return None


def _is_finished(run_dir: Path) -> bool:
    sessions, ends = (read_journal(run_dir, what) for what in ("session", "finished"))
    return bool(ends and sessions) and ends[-1]["at"] >= sessions[-1]["at"]


def models_of(locked: Sequence[LockedModel], run_dir: Path) -> tuple[ModelRun, ...]:
    """Describe the models, with what the run knows about their loads."""
    loads = read_journal(run_dir, "load")
    return tuple(
        with_loads(
            ModelRun(
                id=locked_model.model.id,
                name=locked_model.model.name or locked_model.model.id,
                sha256=hashlib.sha256(
                    " ".join(file.sha256 for file in locked_model.files).encode()
                ).hexdigest(),
                context=locked_model.model.context,
                quantisation=locked_model.model.quantisation,
            ),
            loads,
        )
        for locked_model in locked
    )


def judge_again(run_dir: Path, *, say: Say) -> None:
    """Read the owner's judgement of a run's photos again, from their source.

    Raises:
        OpsError: when it is not a run, another command writes to it, or the source is not
            reachable.
    """
    header = header_of(run_dir)
    if header is None:
        raise OpsError(f"{run_dir} is not a run")
    with (
        Journal(run_dir) as journal,
        PhotosFrom.of(header["settings"]["source"]).opened(leave_out=run_dir) as source,
    ):
        read_judgement_again(run_dir, source, say)
        journal.note("judged again", at=time.time())


def note_session(
    journal: Journal,
    run_dir: Path,
    *,
    prompt: Prompt,
    rubric: Rubric,
    models: Sequence[ModelRun],
    settings: Settings,
    thumbnails: bool | None,
    engine_build: str | None,
    command: Sequence[str],
    reached_by: Sequence[str],
    say: Say,
) -> None:
    """Record what this session asks, and report what it cannot share with earlier ones."""
    sessions = read_journal(run_dir, "session")
    if thumbnails is None:
        thumbnails = sessions[-1]["thumbnails"] if sessions else True
    for earlier in reversed(sessions):
        if earlier["method"] == prompt.method:
            if earlier["prompt_sha256"] != prompt.sha256:
                say("the rubric changed: asking about every photo again")
            known = {model["id"]: model["sha256"] for model in earlier["models"]}
            for model in models:
                if known.get(model.id, model.sha256) != model.sha256:
                    say(f"the files of {model.id} changed: asking it about every photo again")
            break
    journal.note(
        "session",
        at=time.time(),
        method=prompt.method,
        prompt_sha256=prompt.sha256,
        prompt=prompt.as_document(),
        models=[asdict(model) for model in models],
        settings=settings.as_document(),
        thumbnails=thumbnails,
        reached_by=redact_all(list(reached_by)),
        provenance={
            "command": shlex.join(redact_all(list(command))),
            "rubric": as_document(rubric),
            "rubric_sha256": rubric.sha256,
            "prompt_sha256": prompt.sha256,
            "top_logprobs": TOP_LOGPROBS,
            "sampling": {"temperature": 0, "seed": 1},
            "seed": settings.seed,
            **({} if settings.pool is None else {"pool": settings.pool}),
            "engine_build": engine_build,
            "versions": _versions(),
        },
    )


def units_of(
    prompt: Prompt,
    photos: Sequence[Photo],
    run_dir: Path,
    journal: Journal,
    settings: Settings,
) -> tuple[Unit, ...]:
    """List the questions for every model, in order.

    Args:
        prompt: Of the method.
        photos: Of the run.
        run_dir: The run's directory.
        journal: Records the shortlist, so that a later session compares the same photos.
        settings: The number of anchors and pairs. The shortlist are the best photos by the run's
            scores, else the first ones.

    Raises:
        OpsError: when there are too few photos.
    """
    images = schedule.sent(photos)
    least = {"anchored": settings.anchors, "pairwise": 2}.get(prompt.method, 1)
    if len(images) < least:
        raise OpsError(
            f"{len(images)} of {len(photos)} photos can be sent; expected at least {least}. Pass "
            "a folder or an album with more."
        )
    if prompt.method == "anchored":
        return schedule.of_anchors(images, images[: settings.anchors])
    if prompt.method == "pairwise":
        chosen = _shortlist(images, run_dir, journal, settings.shortlist)
        return schedule.of_pairs(
            chosen, pairs_per_photo=settings.pairs_per_photo, seed=settings.seed
        )
    return schedule.of_photos(images)


def _shortlist(
    images: Sequence[str], run_dir: Path, journal: Journal, count: int
) -> tuple[str, ...]:
    for note in reversed(read_journal(run_dir, "shortlist")):
        if len(note["images"]) == min(count, len(images)):
            return tuple(note["images"])
    places: dict[str, list[float]] = defaultdict(list)
    scores = [answer for answer in load(run_dir).answers if answer.key.method == "score"]
    for model in {answer.model for answer in scores}:
        of_model = [
            answer for answer in scores if answer.model == model and answer.score is not None
        ]
        of_model.sort(key=lambda answer: (-(answer.score or 0.0), answer.key.image_sha256))
        for place, answer in enumerate(of_model):
            places[answer.key.image_sha256].append(place / len(of_model))
    ranked = sorted(
        images,
        key=lambda image: sum(places[image]) / len(places[image]) if places[image] else 2.0,
    )
    chosen = tuple(ranked[:count])
    journal.note("shortlist", images=list(chosen))
    return chosen


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("pillow", "httpx2", "numpy", "scipy")}
    return {"python": python_version(), **packages}
