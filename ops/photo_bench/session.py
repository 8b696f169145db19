"""One session on a run: a new directory or one to go on with, its photos, and what is asked."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llama_swap_config.lock import LockedModel
from ops.errors import OpsError
from ops.photo_bench.album.photos_from import PhotosFrom
from ops.photo_bench.answers import Journal, create, header_of, load, read_journal, with_loads
from ops.photo_bench.asking import schedule
from ops.photo_bench.asking.methods import TOP_LOGPROBS, Prompt
from ops.photo_bench.asking.rubric import Rubric, as_document, rubric_of
from ops.photo_bench.asking.schedule import Unit
from ops.photo_bench.results import Method, ModelRun, Photo
from ops.synth import ROOT
from ops.terminal import Say

RUNS = ROOT / "bench-runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What makes a run this run: the same command goes on with one that is not finished."""

    source: PhotosFrom
    models: tuple[str, ...]
    method: Method
    sample: int | None
    seed: int
    random_weights: bool
    lock: str | None = None
    """None: the repository's models.lock.json."""

    def as_document(self) -> dict[str, Any]:
        """Write it as plain data."""
        return {
            "source": self.source.as_document(),
            "models": list(self.models),
            "method": self.method,
            "sample": self.sample,
            "seed": self.seed,
            "random_weights": self.random_weights,
            "lock": self.lock,
        }


def begin(settings: Settings, run_dir: Path | None, *, anew: bool, say: Say) -> Path:
    """Find the run to go on with, or make a new one.

    Args:
        settings: What is typed.
        run_dir: Where; left out: the last run of the same command that is not finished, else a
            new one under bench-runs/.
        anew: Whether an unfinished one is left alone.
        say: Takes a line for the operator.

    Raises:
        OpsError: when the directory is of something else, or would be among the photos.
    """
    if run_dir is None and not anew:
        found = _unfinished(settings)
        if found is not None:
            say(f"going on with {found}, which is not finished; --new begins another run")
            return found
    moment = time.strftime("%Y-%m-%d-%H%M%S")
    chosen = run_dir or _unused(moment)
    header = header_of(chosen)
    if header is not None:
        _check_source(chosen, header, settings.source)
        return chosen
    folder = settings.source.folder
    if folder is not None and chosen.resolve().is_relative_to(folder.resolve()):
        raise OpsError(
            f"--run {chosen} is inside the photo folder {folder}; pass a directory outside it"
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
    return next(RUNS / each for each in names if not (RUNS / each).exists())


def _unfinished(settings: Settings) -> Path | None:
    wanted = settings.as_document()
    for path in sorted(RUNS.glob("*/run.json"), reverse=True):
        header = header_of(path.parent)
        if header is not None and header["settings"] == wanted:
            return None if _is_finished(path.parent) else path.parent
    return None


def _is_finished(run_dir: Path) -> bool:
    sessions, ends = (read_journal(run_dir, what) for what in ("session", "finished"))
    return bool(ends and sessions) and ends[-1]["at"] >= sessions[-1]["at"]


def _check_source(run_dir: Path, header: Mapping[str, Any], source: PhotosFrom) -> None:
    typed, begun = source.as_document(), header["settings"]["source"]
    if source.text and any(typed[name] != begun[name] for name in ("folder", "immich", "album")):
        raise OpsError(
            f"--run {run_dir} is a run over {header['source']!r}, not over {source.text!r}; leave "
            "the photos out, or pass another --run"
        )


def models_of(locked: Sequence[LockedModel], run_dir: Path) -> tuple[ModelRun, ...]:
    """Describe the models, with what the run knows of their loads already."""
    loads = read_journal(run_dir, "load")
    return tuple(
        with_loads(
            ModelRun(
                id=each.model.id,
                name=each.model.name or each.model.id,
                sha256=hashlib.sha256(
                    " ".join(file.sha256 for file in each.files).encode()
                ).hexdigest(),
                context=each.model.context,
                quantisation=each.model.quantisation,
            ),
            loads,
        )
        for each in locked
    )


def models_asked(run_dir: Path) -> tuple[str, ...]:
    """List the models that any session of a run was about."""
    sessions = read_journal(run_dir, "session")
    return tuple(dict.fromkeys(each["id"] for one in sessions for each in one["models"]))


def rubric_of_run(run_dir: Path) -> Rubric | None:
    """Find the rubric that a run asked last; None: it asked nothing yet."""
    sessions = read_journal(run_dir, "session")
    if not sessions:
        return None
    return rubric_of(sessions[-1]["provenance"]["rubric"], where=f"the rubric of {run_dir}")


def note_session(
    journal: Journal,
    run_dir: Path,
    *,
    prompt: Prompt,
    rubric: Rubric,
    models: Sequence[ModelRun],
    settings: Settings,
    engine_build: str | None,
    command: Sequence[str],
    say: Say,
) -> None:
    """Keep what this session asks, and say what it cannot share with the earlier ones."""
    for earlier in reversed(read_journal(run_dir, "session")):
        if earlier["method"] == prompt.method:
            if earlier["prompt_sha256"] != prompt.sha256:
                say("the rubric is another one than before: every photo is asked again by it")
            known = {each["id"]: each["sha256"] for each in earlier["models"]}
            for model in models:
                if known.get(model.id, model.sha256) != model.sha256:
                    say(f"the files of {model.id} are others than before: it is asked again")
            break
    journal.note(
        "session",
        at=time.time(),
        method=prompt.method,
        prompt_sha256=prompt.sha256,
        prompt=prompt.as_document(),
        models=[asdict(model) for model in models],
        provenance={
            "command": shlex.join(command),
            "rubric": as_document(rubric),
            "rubric_sha256": rubric.sha256,
            "prompt_sha256": prompt.sha256,
            "top_logprobs": TOP_LOGPROBS,
            "sampling": {"temperature": 0, "seed": 1},
            "seed": settings.seed,
            "engine_build": engine_build,
            "versions": _versions(),
        },
    )


def units_of(
    prompt: Prompt,
    photos: Sequence[Photo],
    run_dir: Path,
    journal: Journal,
    *,
    seed: int,
    anchors: int,
    shortlist: int,
    pairs_per_photo: int,
) -> tuple[Unit, ...]:
    """List what every model is asked, in order.

    Args:
        prompt: Of the method.
        photos: Of the run.
        run_dir: The run's directory.
        journal: Keeps the shortlist, so that a later session compares the same photos.
        seed: Of the pairs' draw.
        anchors: How many photos every one is compared with.
        shortlist: How many are compared pair by pair: the best by the scores that the run has,
            else the first.
        pairs_per_photo: On average.

    Raises:
        OpsError: when there are too few photos.
    """
    images = schedule.sent(photos)
    least = {"anchored": anchors, "pairwise": 2}.get(prompt.method, 1)
    if len(images) < least:
        raise OpsError(
            f"{len(images)} of {len(photos)} photos can be sent, and {least} are needed at least; "
            "pass a folder or an album with more"
        )
    if prompt.method == "anchored":
        return schedule.of_anchors(images, images[:anchors])
    if prompt.method == "pairwise":
        chosen = _shortlist(images, run_dir, journal, shortlist)
        return schedule.of_pairs(chosen, pairs_per_photo=pairs_per_photo, seed=seed)
    return schedule.of_photos(images)


def _shortlist(
    images: Sequence[str], run_dir: Path, journal: Journal, count: int
) -> tuple[str, ...]:
    for note in reversed(read_journal(run_dir, "shortlist")):
        if len(note["images"]) == min(count, len(images)):
            return tuple(note["images"])
    places: dict[str, list[float]] = defaultdict(list)
    scores = [each for each in load(run_dir).answers if each.key.method == "score"]
    for model in {each.model for each in scores}:
        of_model = [each for each in scores if each.model == model and each.score is not None]
        of_model.sort(key=lambda each: (-(each.score or 0.0), each.key.image_sha256))
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
    from importlib.metadata import version
    from platform import python_version

    packages = {name: version(name) for name in ("pillow", "httpx2", "numpy", "scipy")}
    return {"python": python_version(), **packages}
