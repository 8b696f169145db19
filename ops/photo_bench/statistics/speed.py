"""How long answers take of a warm model, and how many photos fit into half an hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ops.photo_bench.results import Answer, ModelRun
from ops.photo_bench.summary import Speed

WINDOW_S = 1800.0


def took_s(answers: Sequence[Answer]) -> tuple[float, ...]:
    """Give what each answer took of the model.

    While one question is answered the next one waits at the server, and its wall time holds that
    wait. What a warm answer took is therefore the shorter of its wall time and the time since the
    answer before it.

    Args:
        answers: Of one model, in order of time.
    """
    found, before = [], 0.0
    for answer in answers:
        gap = answer.at - before
        found.append(min(answer.wall_s, gap) if gap > 0 and not answer.cold else answer.wall_s)
        before = answer.at
    return tuple(found)


def speed_of(model: ModelRun, answers: Sequence[Answer]) -> Speed:
    """Sum up one model's times.

    Answers of a model that had to be loaded for them are left out; failures are left out of p50
    and p95, but they do take time of the window.

    Args:
        model: What was loaded, and how long that took.
        answers: Of this model, one a question.
    """
    ordered = sorted(answers, key=lambda each: each.at)
    warm = [
        (answer, seconds)
        for answer, seconds in zip(ordered, took_s(ordered), strict=True)
        if not answer.cold
    ]
    answered = [seconds for answer, seconds in warm if answer.score is not None]
    photos = {answer.key.image_sha256 for answer, _ in warm}
    p50, p95 = np.percentile(answered, [50, 95]) if answered else (None, None)
    warm_s = WINDOW_S - (model.cold_load_s or 0.0)
    a_photo_s = sum(seconds for _, seconds in warm) / len(photos) if photos else 0.0
    return Speed(
        warm_p50_s=None if p50 is None else float(p50),
        warm_p95_s=None if p95 is None else float(p95),
        cold_load_s=model.cold_load_s,
        photos_per_30_min=max(0, int(warm_s / a_photo_s)) if a_photo_s > 0 else None,
    )
