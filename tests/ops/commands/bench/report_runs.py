"""Runs with planted scores, and their summaries."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ops.commands.bench.results import Answer, Failure, Key, ModelRun, Photo, Run
from ops.commands.bench.summary import (
    Agreement,
    Difference,
    Interval,
    ModelSummary,
    OwnerMetric,
    Speed,
    Summary,
    Verdict,
)

Floats = NDArray[np.float64]
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
            wall_s += 34.0 if place in cold else 0.0
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
                cold_load_s=34 + model.seconds,
                loads=model.loads,
            )
            for model in planted
        ),
        photos=tuple(all_photos),
        answers=tuple(answers),
        random_weights=random_weights,
    )


def summary_of(run: Run, *, sentence: str | None = None, caveats: Sequence[str] = ()) -> Summary:
    """Summarise a run by the simplest formulas, without resamples."""
    table = {
        model.id: {
            answer.key.image_sha256: answer.score
            for answer in run.answers
            if answer.model == model.id and answer.score is not None
        }
        for model in run.models
    }
    kept = [model.id for model in run.models if table[model.id]]
    common = [
        photo
        for photo in run.photos
        if kept and all(photo.image_sha256 in table[kept_model] for kept_model in kept)
    ]
    scores = {
        kept_model: np.array([table[kept_model][p.image_sha256] for p in common])
        for kept_model in kept
    }
    liked = np.array([p.favourite is True for p in common])
    judged = bool(liked.any() and not liked.all())
    auc = {kept_model: _auc(scores[kept_model], liked) if judged else 0.0 for kept_model in kept}
    error = math.sqrt(1 / max(1, liked.sum()) + 1 / max(1, (~liked).sum())) / 4 if judged else 0
    differences = []
    order = sorted(kept, key=lambda kept_model: -auc[kept_model]) if judged else []
    for better, worse in combinations(order, 2):
        gap = auc[better] - auc[worse]
        p = math.erfc(gap / error / math.sqrt(2))
        corrected = min(1.0, p * len(order) * (len(order) - 1) / 2)
        differences.append(
            Difference(
                better=better,
                worse=worse,
                difference=Interval(value=gap, low=gap - 1.96 * error, high=gap + 1.96 * error),
                p=p,
                p_holm=corrected,
                decided=corrected < 0.05,
                equivalent=False,
            )
        )
    return Summary(
        verdict=Verdict(
            sentence=sentence or _sentence(run, order, auc, differences),
            take=order[0] if differences and differences[0].decided else None,
            decided=bool(differences and differences[0].decided),
            equivalent=False,
            metric="auc" if judged else None,
            more_photos=None,
            caveats=tuple(caveats),
        ),
        models=tuple(_model(run, model, auc if judged else {}, error) for model in run.models),
        differences=tuple(differences),
        agreement=_agreement(kept, [scores[kept_model] for kept_model in kept]),
        photos=len(run.photos),
        common=len(common),
        favourites=int(liked.sum()) if judged else None,
        rated=0,
        top_k=max(1, len(common) // 10),
        margin=0.05,
        resamples=2000,
        seed=1,
    )


def _sentence(
    run: Run, order: list[str], auc: dict[str, float], differences: list[Difference]
) -> str:
    names = {model.id: model.name for model in run.models}
    if not differences:
        return "Which model picks your photos best is not known."
    first, second, *_ = order
    gap = differences[0].difference
    head = (
        f"Take {names[first]}" if differences[0].decided else f"Not decided: {names[first]} leads"
    )
    return (
        f"{head}. It puts a favourite before another photo in {100 * auc[first]:.0f} of 100 "
        f"pairs, {names[second]} in {100 * auc[second]:.0f}; the difference is "
        f"{100 * gap.value:.0f} (95 % interval {100 * gap.low:.0f} to {100 * gap.high:.0f})."
    )


def _auc(scores: Floats, liked: NDArray[np.bool_]) -> float:
    gaps = scores[liked][:, None] - scores[~liked][None, :]
    return float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))


def _model(run: Run, model: ModelRun, auc: dict[str, float], error: float) -> ModelSummary:
    answers = [answer for answer in run.answers if answer.model == model.id]
    failures = Counter(answer.failure for answer in answers if answer.failure)
    warm = [answer.wall_s for answer in answers if not answer.cold]
    share = failures.total() / max(1, len(answers))
    owner: dict[OwnerMetric, Interval] = {}
    if model.id in auc:
        value = auc[model.id]
        owner = {
            "auc": Interval(value=value, low=value - 1.5 * error, high=value + 1.4 * error),
            "average_precision": Interval(value=value - 0.06, low=value - 0.16, high=value + 0.05),
            "precision_at_k": Interval(value=value - 0.02, low=value - 0.2, high=value + 0.1),
        }
    return ModelSummary(
        id=model.id,
        name=model.name,
        answered=len(answers) - failures.total(),
        asked=len(answers),
        failures={str(name): count for name, count in failures.items()},
        failure_rate=Interval(value=share, low=share * 0.4, high=share * 2 + 0.03),
        low_mass=0,
        owner=owner,
        worst_case={metric: estimate.value - 0.3 * share for metric, estimate in owner.items()},
        speed=Speed(
            warm_p50_s=float(np.percentile(warm, 50)) if warm else None,
            warm_p95_s=float(np.percentile(warm, 95)) if warm else None,
            cold_load_s=model.cold_load_s if answers else None,
            photos_per_30_min=int(1760 / np.mean(warm)) if warm else None,
        ),
    )


def _agreement(kept: list[str], scores: list[Floats]) -> Agreement:
    enough = len(scores) > 1 and len(scores[0]) > 1

    def matrix(cell: Callable[[Floats, Floats], float]) -> tuple[tuple[float, ...], ...]:
        return tuple(
            tuple(
                1.0 if first is second else cell(first, second) if enough else 0.0
                for second in scores
            )
            for first in scores
        )

    return Agreement(
        models=tuple(kept),
        spearman=matrix(_spearman),
        tau=matrix(_tau),
        top_k=matrix(lambda first, second: (1 + _tau(first, second)) / 2),
        icc_consistency=0.62 if enough else None,
        icc_agreement=0.55 if enough else None,
        alpha=0.53 if enough else None,
    )


def _spearman(first: Floats, second: Floats) -> float:
    ranks = np.array([np.argsort(np.argsort(scores)) for scores in (first, second)])
    return float(np.corrcoef(ranks)[0, 1])


def _tau(first: Floats, second: Floats) -> float:
    pairs = np.triu_indices(len(first), 1)
    signs = [np.sign(scores[:, None] - scores[None, :])[pairs] for scores in (first, second)]
    return float(np.mean(signs[0] * signs[1]))
