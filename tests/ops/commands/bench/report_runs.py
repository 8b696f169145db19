"""Runs with planted scores, and their summaries."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ops.commands.bench.results import Answer, Failure, Key, Loading, ModelRun, Photo, Run
from ops.commands.bench.statistics.summarise import summarise
from ops.commands.bench.summary import Summary

Floats = NDArray[np.float64]
_LOAD_S = 34.0
STARTED_AT = 1_790_000_000.0
FAILED: tuple[tuple[Failure, str], ...] = (
    ("no_label", "I cannot rate people in photos, but I can describe the light."),
    ("timeout", ""),
    ("http_5xx", '{"error":{"code":500,"message":"out of memory"}}'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A model with planted answers."""

    id: str
    name: str
    noise: float
    """How little its scores follow the photos' own quality."""
    seconds: float
    failures: int = 0
    loads: int = 1
    contrast: float = 0.9


THREE = (
    Planted(id="qwen3vl-8b", name="Qwen3-VL 8B", noise=0.35, seconds=5.98),
    Planted(id="qwen3vl-4b", name="Qwen3-VL 4B", noise=1.9, seconds=3.55, loads=2, contrast=0.6),
    Planted(
        id="minicpm-v-4-5", name="MiniCPM-V 4.5", noise=2.6, seconds=5.1, failures=4, contrast=1.2
    ),
)


def models(count: int) -> tuple[Planted, ...]:
    """Make models, each noisier and faster than the one before."""
    return tuple(
        Planted(
            id=f"model-{place}",
            name=f"A model with a long name, number {place}",
            noise=0.4 + 0.3 * place,
            seconds=7.0 - 0.45 * place,
            failures=place % 3,
        )
        for place in range(count)
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def photos(
    count: int, *, judged: bool = True, images: Sequence[str] | None = None, seed: int = 7
) -> tuple[tuple[Photo, ...], Floats]:
    """Make photos and their true quality; the best are mostly the owner's favourites."""
    random = np.random.default_rng(seed)
    quality = random.normal(size=count)
    wish = quality + random.normal(0, 0.7, count)
    liked = wish > (np.quantile(wish, 0.6) if count else 0.0)
    return tuple(
        Photo(
            image_sha256=images[place] if images else sha256(f"image {place}"),
            original_sha256=sha256(f"original {place}"),
            name=f"2026/{'summer' if place % 2 else 'lake'}/IMG_{4000 + 7 * place}.jpg",
            width=1024,
            height=768,
            favourite=bool(liked[place]) if judged else None,
            burst=place,
        )
        for place in range(count)
    ), quality


def planted_run(
    planted: Sequence[Planted],
    all_photos: Sequence[Photo],
    quality: Floats,
    *,
    random_weights: bool = False,
    seed: int = 3,
) -> Run:
    """Answer every photo by every model."""
    random = np.random.default_rng(seed)
    answers = []
    at = STARTED_AT
    for model in planted:
        failed = set(random.permutation(len(all_photos))[: model.failures].tolist())
        cold = {0, *(random.integers(1, max(2, len(all_photos)), model.loads - 1).tolist())}
        scores = quality + random.normal(0, model.noise, len(all_photos))
        for place, photo in enumerate(all_photos):
            if photo.failure is not None:
                continue
            wall_s = model.seconds * float(random.lognormal(0, 0.07))
            wall_s += _LOAD_S if place in cold else 0.0
            at += wall_s
            failure, raw = FAILED[place % len(FAILED)] if place in failed else (None, "4")
            score = 1 + 4 / (1 + math.exp(-model.contrast * float(scores[place])))
            answers.append(
                Answer(
                    key=Key(
                        model_sha256=sha256(model.id),
                        prompt_sha256=sha256("prompt"),
                        image_sha256=photo.image_sha256,
                        method="score",
                    ),
                    model=model.id,
                    score=None if failure else score,
                    failure=failure,
                    mass=0.98,
                    raw=raw,
                    wall_s=wall_s,
                    cold=place in cold,
                    at=at,
                )
            )
    return Run(
        run_dir=Path("bench-runs/2026-09-21-141320"),
        id="2026-09-21-a1b2c3",
        started_at=STARTED_AT,
        source="album Best of 2026",
        provenance={
            "command": "python -m ops bench --immich photos.lan:2283 --album 'Best of 2026' "
            "--sample 103 --window 30m",
            "method": "score",
            "rubric": {
                "sha256": sha256("rubric"),
                "system": "You choose photos for an account that shows everyday life at its best.",
                "labels": {"1": "never post", "3": "fine for the album", "5": "outstanding"},
            },
            "grammar": "root ::= [1-5]",
            "top_logprobs": 200,
            "resize": "1024 px, Lanczos, JPEG 85, metadata stripped",
            "seed": 1,
            "versions": {"python": "3.11.7", "pillow": "13.0.0"},
            "engines": {model.id: {"build": "b10524", "n_ctx": 3072} for model in planted},
        },
        models=tuple(
            ModelRun(
                id=model.id,
                name=model.name,
                sha256=sha256(model.id),
                context=3072,
                quantisation="Q4_K_M",
                cold_load_s=_LOAD_S + model.seconds,
                loads=model.loads,
            )
            for model in planted
        ),
        photos=tuple(all_photos),
        answers=tuple(answers),
        random_weights=random_weights,
        loading=Loading(
            loading_s=_LOAD_S * sum(model.loads for model in planted),
            asking_s=at - STARTED_AT,
            in_window=True,
            loaded_already=(),
        )
        if answers
        else None,
    )


def summary_of(
    run: Run, *, headline: str | None = None, caveats: Sequence[str] | None = None
) -> Summary:
    """Summarise a run with few resamples; a headline or caveats replace its own."""
    summary = summarise(run, resamples=200)
    verdict = summary.verdict
    return replace(
        summary,
        verdict=replace(
            verdict,
            headline=verdict.headline if headline is None else headline,
            caveats=verdict.caveats if caveats is None else tuple(caveats),
        ),
    )
