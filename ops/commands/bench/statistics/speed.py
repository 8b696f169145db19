"""The time of a warm model's answers, and how many photos fit into half an hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ops.commands.bench.results import Answer, ModelRun
from ops.commands.bench.summary import Speed

WINDOW_S = 1800.0


def speed_of(model: ModelRun, answers: Sequence[Answer]) -> Speed:
    """Summarise one model's times.

    Answers that waited for a load are excluded. Failures are excluded from p50 and p95, but they
    take time of the window.
    """
    warm = [answer for answer in answers if not answer.cold]
    answered = [answer.wall_s for answer in warm if answer.score is not None]
    photos = {answer.key.image_sha256 for answer in warm}
    p50, p95 = np.percentile(answered, [50, 95]) if answered else (None, None)
    warm_s = WINDOW_S - (model.cold_load_s or 0.0)
    a_photo_s = sum(answer.wall_s for answer in warm) / len(photos) if photos else 0.0
    return Speed(
        warm_p50_s=None if p50 is None else float(p50),
        warm_p95_s=None if p95 is None else float(p95),
        cold_load_s=model.cold_load_s,
        photos_per_30_min=max(0, int(warm_s / a_photo_s)) if a_photo_s > 0 else None,
    )
