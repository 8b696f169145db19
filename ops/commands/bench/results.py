"""The contents of a run's directory: photos, models and answers.

    RUN/run.json        provenance, written once at the start
    RUN/album.json      what the photos were drawn from, and how they are prepared
    RUN/photos.jsonl    one photo per line, in the order in which every model sees them
    RUN/prepared.jsonl  which photos are prepared, and their looks
    RUN/images/         the sent bytes, <image_sha256>.jpg
    RUN/answers.jsonl   one answer per line, append-only
    RUN/journal.jsonl   the options of each session, and each load of a model; append-only

Deleting the directory deletes everything that the run knows about the photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Method = Literal["score", "rubric", "anchored", "pairwise"]
Failure = Literal[
    "image_unreadable",  # the photo cannot be decoded and is not sent
    "image_too_large",  # more pixels than are decoded
    "image_too_small",  # narrower than 32 pixels once it is shrunk
    "image_unsupported",  # HEIC, or a camera's raw file
    "image_missing",  # deleted meanwhile, or Immich cannot deliver it
    "connection",  # no answer, after one retry
    "timeout",
    "http_4xx",
    "http_5xx",
    "server_500_format",  # llama-server's own parser rejected a finished answer
    "cut",  # no finish_reason: the engine died on the way
    "empty",  # the first token ends the answer
    "no_logprobs",
    "no_label",  # no label among the shown tokens
    "truncated",
    "invalid_answer",  # does not match the grammar
    "out_of_range",
]

NOT_THE_PHOTO: tuple[Failure, ...] = ("connection", "timeout", "http_4xx", "http_5xx", "cut")
"""Failures that the endpoint may have caused: only these are worth a retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo, as every model sees it."""

    image_sha256: str
    """Hash of the sent bytes; empty if the photo could not be prepared."""
    original_sha256: str
    name: str
    """The owner's name for it, with any content: the path in the folder, or the file's name in
    Immich."""
    width: int = 0
    """Of the sent image, in pixels."""
    height: int = 0
    favourite: bool | None = None
    """The owner's judgement; None: unknown."""
    rating: int | None = None
    """1 to 5, -1 rejected, as Immich keeps it; None: unrated."""
    taken_at: float | None = None
    """Seconds since 1970; None: unknown."""
    burst: int = 0
    """Photos of one burst were taken within seconds, or look alike: they count as one draw."""
    asset_id: str | None = None
    """Immich's asset id; None: from a folder."""
    failure: Failure | None = None
    """Why it was not sent; None: it was sent."""

    @property
    def source_id(self) -> str:
        """Its id in the folder or album, the same in every run."""
        return self.asset_id or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What identifies an answer, so that no question is repeated."""

    model_sha256: str
    """Of weights and projector together."""
    prompt_sha256: str
    """Of the rubric, the grammar and all fixed parts of the request."""
    image_sha256: str
    method: Method
    order: str = ""
    """The other image of two, with its position: `2:SHA256` if it comes second (pairwise),
    `1:SHA256` if it comes first (an anchor); empty for a single image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One model's answer about one photo, or its failure."""

    key: Key
    model: str
    """The registry's id."""
    score: float | None
    """On the labels' scale (1 to 5 by default). For pairwise and anchored the logit of the key's
    image, which comes first with pairwise and second with anchored. None: it failed."""
    failure: Failure | None = None
    spread: float | None = None
    """Standard deviation over the labels."""
    mass: float | None = None
    """Probability of all labels together; below 0.5 the model preferred another answer."""
    labels: Mapping[str, float] = field(default_factory=dict)
    """Label -> raw logprob; with the method rubric `criterion=label` -> raw logprob."""
    criteria: Mapping[str, float] = field(default_factory=dict)
    """Criterion -> expected score, with the method rubric; their mean is the score."""
    raw: str = ""
    """The text of the answer, at most 2,000 characters: shown if it failed."""
    wall_s: float = 0.0
    """From the request to the whole answer, at the client."""
    server_s: float | None = None
    """Prompt and generation by llama-server's own timings."""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cold: bool = False
    """Whether the answer waited for a load: its time does not count as warm."""
    attempt: int = 1
    at: float = 0.0
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """One model of a run."""

    id: str
    name: str
    sha256: str
    """Of weights and projector together, as in every key."""
    context: int
    quantisation: str
    cold_load_s: float | None = None
    """Duration of the first answer; None: it was never asked."""
    loads: int = 0
    """Number of loads, the run's own counted once; more than 1: another client unloaded it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How much of a run's time went into loading models."""

    loading_s: float
    """Without the time of the answer for which a model was loaded."""
    asking_s: float
    """Of all sessions, each from its start, or its window's, to its last answer."""
    in_window: bool
    """Whether every session asked in a GPU window."""
    loaded_already: tuple[str, ...]
    """Ids of models that were loaded before they were asked: their loads are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run, as read from its directory."""

    run_dir: Path
    id: str
    started_at: float
    source: str
    """As the owner typed it: a folder, or album NAME of an Immich."""
    provenance: Mapping[str, Any]
    """Versions, rubric, prompt, grammar, labels and their tokens, resize rule, seed, command; and
    favourite_share, the share of favourites in the album, if photos were drawn by them."""
    models: tuple[ModelRun, ...]
    photos: tuple[Photo, ...]
    answers: tuple[Answer, ...]
    method: Method | None = None
    """The method whose answers count, if the run has several (default: the last one asked)."""
    random_weights: bool = False
    """Whether the weights are random and the answers mean nothing: every output says so."""
    reached_by: tuple[str, ...] = ()
    """Options with which the last session reached the models, such as --window 30m."""
    loading: Loading | None = None
    """None: nothing was asked yet."""
