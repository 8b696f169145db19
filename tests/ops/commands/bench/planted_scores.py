"""A run whose answers are planted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.commands.bench.results import Answer, Failure, Key, ModelRun, Photo, Run

Floats = NDArray[np.float64]

NAMES = {"a": "Model A", "b": "Model B", "c": "Model C"}


def planted_run(
    scores: Mapping[str, Sequence[float | None] | Floats],
    *,
    favourite: Sequence[bool | None] | NDArray[np.bool_] | None = None,
    rating: Sequence[int | None] | NDArray[np.int_] | None = None,
    burst: Sequence[int] | NDArray[np.int_] | None = None,
    seconds: Mapping[str, float] | None = None,
    failure: Failure = "timeout",
    mass: float = 0.99,
    random_weights: bool = False,
    loads: int = 1,
    provenance: Mapping[str, Any] | None = None,
) -> Run:
    """Make a run.

    Args:
        scores: Model -> one score per photo; None or NaN: the question failed.
        favourite: One a photo; left out: unknown.
        rating: One a photo; left out: unrated.
        burst: One a photo; left out: each photo is alone.
        seconds: Model -> of a warm answer; left out: 1 s, 2 s, 3 s, ...
        failure: Of what failed.
        mass: Of each answer.
        random_weights: Of the run.
        loads: Of each model.
        provenance: Of the run.
    """
    count = max(len(model_scores) for model_scores in scores.values())
    times = seconds or {model: 1.0 + place for place, model in enumerate(scores)}
    photos = tuple(
        Photo(
            image_sha256=f"{index:064x}",
            original_sha256=f"{index:064x}",
            name=f"{index}.jpg",
            favourite=_of(favourite, index, bool),
            rating=_of(rating, index, int),
            burst=index if burst is None else int(burst[index]),
        )
        for index in range(count)
    )
    answers = tuple(
        answer_of(
            model,
            photos[index].image_sha256,
            None if score is None or np.isnan(score) else float(score),
            failure=failure,
            mass=mass,
            wall_s=times[model],
        )
        for model, of_model in scores.items()
        for index, score in enumerate(of_model)
    )
    models = tuple(
        ModelRun(
            id=model,
            name=NAMES.get(model, model),
            sha256=model * 64,
            context=3072,
            quantisation="Q4_K_M",
            cold_load_s=30.0,
            loads=loads,
        )
        for model in scores
    )
    return Run(
        run_dir=Path("bench-runs/run"),
        id="run",
        started_at=0.0,
        source="photos",
        provenance=provenance or {},
        models=models,
        photos=photos,
        answers=answers,
        random_weights=random_weights,
    )


def answer_of(
    model: str,
    image: str,
    score: float | None,
    *,
    order: str = "",
    method: Any = "score",
    failure: Failure = "timeout",
    **rest: Any,
) -> Answer:
    """Make an answer; without a score it failed."""
    return Answer(
        key=Key(
            model_sha256=model * 64,
            prompt_sha256="0" * 64,
            image_sha256=image,
            method=method,
            order=order,
        ),
        model=model,
        score=score,
        failure=failure if score is None else None,
        **rest,
    )


def _of(values: Any, index: int, kind: type) -> Any:
    if values is None or values[index] is None:
        return None
    return kind(values[index])
