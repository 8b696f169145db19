"""How much of a run's time went into loading models, by the run's own journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from statistics import median
from typing import Any

from ops.commands.bench.results import Answer, Loading


def loading_of(
    sessions: Sequence[Mapping[str, Any]],
    loads: Sequence[Mapping[str, Any]],
    answers: Sequence[Answer],
) -> Loading | None:
    """Add up the loads and the time in which they happened; None: nothing was asked yet.

    Args:
        sessions: The journal's notes of kind `session`.
        loads: Its notes of kind `load`.
        answers: Every answer on disk, to any method.
    """
    starts = [session["at"] for session in sessions]
    ends = [*(load["at"] for load in loads), *(answer.at for answer in answers)]
    asking_s, windows = 0.0, []
    for session, start, following in zip(sessions, starts, [*starts[1:], inf], strict=True):
        own = [at for at in ends if start <= at < following]
        # The session that waits for a window asks nothing itself.
        if own:
            asking_s += max(own) - start
            windows.append("--window" in session.get("reached_by", ()))
    if not answers or asking_s <= 0:
        return None
    usual_s = _usual_s(answers)
    waits_s = [
        *(
            load["seconds"] - usual_s.get(load["model_sha256"], 0.0)
            for load in loads
            if load["cold"] and load["by"] == "run"
        ),
        *(
            answer.wall_s - usual_s.get(answer.key.model_sha256, 0.0)
            for answer in answers
            if answer.cold
        ),
    ]
    was_cold = {load["model"] for load in loads if load["cold"]}
    return Loading(
        loading_s=min(asking_s, sum(max(0.0, wait_s) for wait_s in waits_s)),
        asking_s=asking_s,
        in_window=all(windows),
        loaded_already=tuple(
            dict.fromkeys(answer.model for answer in answers if answer.model not in was_cold)
        ),
    )


def _usual_s(answers: Sequence[Answer]) -> Mapping[str, float]:
    """Return the median time of each model's warm answers."""
    warm_s: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        if not answer.cold:
            warm_s[answer.key.model_sha256].append(answer.wall_s)
    return {model: median(times) for model, times in warm_s.items()}
