"""The methods: the fixed part of each request, and how an answer is read.

The fixed text comes first and the photo last, so that llama-server reuses its cache of the text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.commands.bench.asking.label_logprobs import expected, label_logprobs
from ops.commands.bench.asking.rubric import Rubric
from ops.commands.bench.results import Failure, Method
from ops.endpoint.pictures import data_uri
from ops.errors import OpsError

TOP_LOGPROBS = 400
"""Display tokens: one beyond them has a probability below 1/400."""

FIRST, SECOND = "A", "B"
_IMAGE = "image"
"""Placeholder for a photo among the parts of a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The content of one answer, or its failure."""

    score: float | None = None
    failure: Failure | None = None
    spread: float | None = None
    mass: float | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    criteria: Mapping[str, float] = field(default_factory=dict)
    raw: str = ""
    """The whole text of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The part that all requests of one method share."""

    method: Method
    system: str
    parts: tuple[str, ...]
    """The user's message; `image` is the placeholder for a photo."""
    values: Mapping[str, float]
    """Label -> its value."""
    criteria: tuple[str, ...] = ()
    """One label is requested for each; empty: one label in all."""

    @property
    def grammar(self) -> str:
        """GBNF that permits only labels."""
        labels = " | ".join(json.dumps(label) for label in self.values)
        return f"root ::= {' '.join(['label'] * self.tokens)}\nlabel ::= {labels}"

    @property
    def tokens(self) -> int:
        """Number of tokens in the answer."""
        return max(1, len(self.criteria))

    @property
    def images(self) -> int:
        """Number of photos in a question."""
        return self.parts.count(_IMAGE)

    @property
    def sha256(self) -> str:
        """Hash of everything sent besides the photos, and of how the answer is read."""
        document = [self.as_document(), self.body("", [b""] * self.images)]
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()

    def as_document(self) -> dict[str, Any]:
        """Return the prompt as plain data, for the provenance."""
        return {
            "method": self.method,
            "system": self.system,
            "user": list(self.parts),
            "grammar": self.grammar,
            "labels": dict(self.values),
            "criteria": list(self.criteria),
        }

    def body(self, model: str, images: Sequence[bytes]) -> dict[str, Any]:
        """Return a request about as many JPEGs as the question has, in order."""
        remaining = iter(images)
        content: list[dict[str, Any]] = []
        for part in self.parts:
            if part == _IMAGE:
                uri = data_uri(next(remaining), "image/jpeg")
                content.append({"type": "image_url", "image_url": {"url": uri}})
            else:
                content.append({"type": "text", "text": part})
        return {
            "model": model,
            "messages": [
                {"role": "system", "content": self.system},
                {"role": "user", "content": content},
            ],
            "max_tokens": self.tokens,
            "temperature": 0,
            "seed": 1,
            "grammar": self.grammar,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }

    def read(self, document: Any, token_ids: Mapping[str, int] | None = None) -> Reading:
        """Read a whole answer with status 200.

        Args:
            document: The answer's JSON.
            token_ids: Label -> its token in this model (default: match by text).
        """
        try:
            choice = document["choices"][0]
            text = choice["message"]["content"] or ""
        except (LookupError, TypeError):
            return Reading(failure="invalid_answer", raw=_raw(document))
        if not isinstance(text, str):
            return Reading(failure="invalid_answer", raw=_raw(document))
        failure, tokens = self._tokens(choice, text)
        if failure is not None:
            return Reading(failure=failure, raw=_raw(text))
        logprobs = [label_logprobs(token, tuple(self.values), token_ids) for token in tokens]
        if not all(logprobs):
            return Reading(failure="no_label", raw=_raw(text))
        if self.images == 2:
            return self._pair(logprobs[0], text)
        return self._scores(logprobs, text)

    def _tokens(self, choice: Mapping[str, Any], text: str) -> tuple[Failure | None, list[Any]]:
        """Return the tokens of the answer, or its failure."""
        ended = choice.get("finish_reason")
        if not ended:
            return "cut", []
        if not text and ended == "stop":
            return "empty", []
        logprobs = choice.get("logprobs")
        tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
        if not isinstance(tokens, list) or not tokens:
            return "no_logprobs", []
        if len(tokens) < self.tokens:
            return "truncated" if ended == "length" else "invalid_answer", []
        tokens = tokens[: self.tokens]
        words = [token.get("token") if isinstance(token, dict) else None for token in tokens]
        for word in words if self.criteria else [text.strip()]:
            if word not in self.values:
                is_number = isinstance(word, str) and word.lstrip("-").isdecimal()
                return "out_of_range" if is_number else "invalid_answer", []
        return None, tokens

    def _scores(self, by_token: list[dict[str, float]], text: str) -> Reading:
        scores = [expected(logprobs, self.values) for logprobs in by_token]
        labels = by_token[0]
        if self.criteria:
            labels = {
                f"{criterion}={label}": value
                for criterion, logprobs in zip(self.criteria, by_token, strict=True)
                for label, value in logprobs.items()
            }
        return Reading(
            score=sum(score.score for score in scores) / len(scores),
            spread=sum(score.spread for score in scores) / len(scores),
            mass=min(score.mass for score in scores),
            labels=labels,
            criteria={
                name: score.score for name, score in zip(self.criteria, scores, strict=False)
            },
            raw=_raw(text),
        )

    def _pair(self, logprobs: dict[str, float], text: str) -> Reading:
        if len(logprobs) < 2:
            return Reading(failure="no_label", labels=logprobs, raw=_raw(text))
        # An anchor is always the first photo, and the second one is scored.
        of, against = (SECOND, FIRST) if self.method == "anchored" else (FIRST, SECOND)
        return Reading(
            score=logprobs[of] - logprobs[against],
            mass=expected(logprobs, self.values).mass,
            labels=logprobs,
            raw=_raw(text),
        )


def prompt_of(method: Method, rubric: Rubric) -> Prompt:
    """Build the prompt of one method.

    Raises:
        OpsError: when the rubric lacks what the method needs.
    """
    if method in ("anchored", "pairwise"):
        return Prompt(
            method=method,
            system=rubric.system,
            parts=(f"Photo {FIRST}:", _IMAGE, f"Photo {SECOND}:", _IMAGE, rubric.pair_question),
            values={FIRST: 0.0, SECOND: 1.0},
        )
    scale = "\n".join(
        f"{label.label}: {label.meaning}" if label.meaning else label.label
        for label in rubric.labels
    )
    system = f"{rubric.system}\n\nThe scale:\n{scale}"
    values = {label.label: label.value for label in rubric.labels}
    if method == "score":
        return Prompt(method=method, system=system, parts=(rubric.question, _IMAGE), values=values)
    if not rubric.criteria:
        raise OpsError("--method is 'rubric', but the rubric has no [criteria]. Add them.")
    criteria = "\n".join(f"{name}: {meaning}" for name, meaning in rubric.criteria.items())
    return Prompt(
        method=method,
        system=f"{system}\n\nThe criteria:\n{criteria}",
        parts=(
            "Rate this photo by each criterion. Answer with one label for each and nothing "
            f"between them, in this order: {', '.join(rubric.criteria)}.",
            _IMAGE,
        ),
        values=values,
        criteria=tuple(rubric.criteria),
    )


def _raw(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
