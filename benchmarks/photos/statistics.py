"""Time a summary of 3 models x 1,000 photos x 2,000 resamples.

The peer computes each metric by one call of scipy or scikit-learn, in a loop over resamples; a few
resamples are timed, and their time is extrapolated.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from ops.commands.bench.results import Run
from ops.commands.bench.statistics.summarise import summarise
from tests.ops.commands.bench.planted_scores import planted_run

MODELS = {"model-a": 1.0, "model-b": 1.1, "model-c": 1.5}
"""Id -> error of its scores, in standard deviations of how much photos are liked."""
PHOTOS, RESAMPLES, TOP_K = 1000, 2000, 100
ROUNDS, PEER_RESAMPLES = 5, 20


def album(*, favourites: bool, ratings: bool) -> Run:
    """Plant a run whose scores follow what the owner likes, with errors."""
    random = np.random.default_rng(1)
    liked = random.standard_normal(PHOTOS)
    rating = np.digitize(liked, [-1.2, -0.4, 0.4, 1.2]) + 1
    return planted_run(
        {
            model: 3 + liked + error * random.standard_normal(PHOTOS)
            for model, error in MODELS.items()
        },
        favourite=liked > 1 if favourites else None,
        rating=rating if ratings else None,
    )


def peer(run: Run, resamples: int) -> None:
    """Compute the resampled metrics, with one call per metric, model and resample."""
    random = np.random.default_rng(1)
    scores = np.array([answer.score for answer in run.answers]).reshape(len(MODELS), PHOTOS)
    favourite = np.array([bool(photo.favourite) for photo in run.photos])
    rating = np.array([photo.rating or 0 for photo in run.photos])
    for _ in range(resamples):
        drawn = random.integers(0, PHOTOS, PHOTOS)
        for of_model in scores[:, drawn]:
            if favourite.any():
                _favourites(favourite[drawn], of_model)
            if rating.any():
                stats.spearmanr(of_model, rating[drawn])
                stats.kendalltau(of_model, rating[drawn])


def _favourites(favourite: NDArray[np.bool_], scores: NDArray[Any]) -> None:
    metrics.roc_auc_score(favourite, scores)
    metrics.average_precision_score(favourite, scores)
    metrics.ndcg_score([favourite], [scores], k=TOP_K)
    favourite[np.argsort(-scores)[:TOP_K]].mean()


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and CPU time of some work, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the time for each kind of judgement, and how many times longer the peer takes."""
    print(
        f"{len(MODELS)} models x {PHOTOS} photos x {RESAMPLES} resamples, median of {ROUNDS} "
        f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    )
    for name, favourites, ratings in (
        ("favourites", True, False),
        ("ratings", False, True),
        ("both", True, True),
    ):
        run = album(favourites=favourites, ratings=ratings)

        def ours(run: Run = run) -> object:
            return summarise(run, resamples=RESAMPLES, top_k=TOP_K)

        def theirs(run: Run = run) -> None:
            peer(run, PEER_RESAMPLES)

        rounds = [cost(ours) for _ in range(ROUNDS)]
        wall, cpu = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
        peer_wall, peer_cpu = (seconds * RESAMPLES / PEER_RESAMPLES for seconds in cost(theirs))
        print(
            f"{name:10s} {wall:5.2f} s wall, {cpu:5.2f} s CPU; scipy and scikit-learn in a loop "
            f"{peer_wall:6.1f} s wall, {peer_cpu:6.1f} s CPU: {peer_cpu / cpu:4.0f}x"
        )


if __name__ == "__main__":
    main()
