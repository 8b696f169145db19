"""What a run keeps: photos, models and answers, as its directory holds them.

    RUN/run.json        provenance, written once at the start
    RUN/album.json      what the photos were drawn from, and how they are prepared
    RUN/photos.jsonl    one photo a line, in the order in which every model sees them
    RUN/prepared.jsonl  which photos are prepared, and what they look like
    RUN/images/         the bytes that are sent, <image_sha256>.jpg
    RUN/answers.jsonl   one answer a line, only ever appended
    RUN/journal.jsonl   what each session asked for, and each load of a model; only ever appended

Deleting the directory deletes everything that the run knows of the photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Method = Literal["score", "rubric", "anchored", "pairwise"]
Failure = Literal[
    "image_unreadable",  # the photo cannot be decoded here; nothing is asked
    "image_too_large",  # more pixels than are decoded
    "image_unsupported",  # HEIC, or a camera's raw file
    "image_missing",  # deleted in Immich meanwhile, or not to be had from it
    "connection",  # no answer, after one more attempt
    "timeout",
    "http_4xx",
    "http_5xx",
    "server_500_format",  # llama-server's own parser gave up on a finished answer
    "cut",  # no finish_reason: the engine died on the way
    "empty",  # the first token ends the answer
    "no_logprobs",
    "no_label",  # no label among the tokens that are shown
    "truncated",
    "invalid_answer",  # not of the grammar
    "out_of_range",
]

NOT_THE_PHOTO: tuple[Failure, ...] = ("connection", "timeout", "http_4xx", "http_5xx", "cut")
"""Failures that may be the endpoint's: only these can be worth asking again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo, as every model sees it."""

    image_sha256: str
    """Of the bytes that are sent; empty where the photo could not be prepared."""
    original_sha256: str
    name: str
    """What the owner calls it: the path in the folder, or the file's name in Immich. It may hold
    anything."""
    width: int = 0
    """Of what is sent, in pixels."""
    height: int = 0
    favourite: bool | None = None
    """The owner's judgement; None: unknown."""
    rating: int | None = None
    """1 to 5, -1 rejected, as Immich keeps it; None: unrated."""
    taken_at: float | None = None
    """Seconds since 1970; None: unknown."""
    burst: int = 0
    """Photos of one number were taken within seconds, or look alike: they count as one draw."""
    asset_id: str | None = None
    """Immich's own id; None: from a folder."""
    failure: Failure | None = None
    """Why it was never sent; None: it is."""

    @property
    def source_id(self) -> str:
        """What its folder or album calls it, in every run."""
        return self.asset_id or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What makes two answers the same: asked twice is never needed."""

    model_sha256: str
    """Of weights and projector together."""
    prompt_sha256: str
    """Of the rubric, the grammar and all fixed parts of the request."""
    image_sha256: str
    method: Method
    order: str = ""
    """The other image's sha256, with its place, for two images: `2:SHA256` where it comes second
    (pairwise), `1:SHA256` where it comes first (an anchor); empty for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one model said about one photo, or how it failed."""

    key: Key
    model: str
    """The registry's id."""
    score: float | None
    """On the labels' scale (1 to 5 by default); for pairwise the logit of the key's image, which
    comes first; for anchored that of the key's image, which comes second; None: it failed."""
    failure: Failure | None = None
    spread: float | None = None
    """Standard deviation over the labels."""
    mass: float | None = None
    """Probability of all labels together; below 0.5 the model wanted to say something else."""
    labels: Mapping[str, float] = field(default_factory=dict)
    """Label -> raw logprob; with the method rubric `criterion=label` -> raw logprob."""
    criteria: Mapping[str, float] = field(default_factory=dict)
    """Criterion -> expected score, with the method rubric; their mean is the score."""
    raw: str = ""
    """What it said, at most 2,000 characters: shown where it failed."""
    wall_s: float = 0.0
    """From the request to the whole answer, at the client."""
    server_s: float | None = None
    """Prompt and generation by llama-server's own timings."""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cold: bool = False
    """Whether the model was loaded for it: its time is not one of a warm model."""
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
    """The first answer's time; None: it was never asked."""
    loads: int = 0
    """How often it was loaded, the run's own choice counted once; more than 1: another client
    swapped it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run, read back."""

    id: str
    started_at: float
    source: str
    """What the owner typed: a folder, or album NAME of an Immich."""
    provenance: Mapping[str, Any]
    """Versions, rubric, prompt, grammar, labels and their tokens, resize rule, seed, command; and
    favourite_share, their share among all photos, where photos were drawn by them."""
    models: tuple[ModelRun, ...]
    photos: tuple[Photo, ...]
    answers: tuple[Answer, ...]
    method: Method | None = None
    """Whose answers count, where the run holds several methods'; None: the last one asked."""
    random_weights: bool = False
    """Whether the models are stand-ins whose answers mean nothing: every output says so."""
