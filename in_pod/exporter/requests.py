"""The requests in flight, how long they wait for a model, and their answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from .contract import ABORTED, INCOMPLETE, OTHER, STATUSES
from .plan import Plan
from .series import Series

_MOST = 2000
"""Requests in flight that are followed; llama-swap lets ten wait for each model."""
_KEPT = 500
_UNMATCHED_S = 5.0
"""How long an answer may wait for the end of its request, which is told separately."""
_TOLERANCE_S = 0.25


@dataclass(slots=True, kw_only=True)
class _Request:
    model: str
    path: str
    begun: float
    ready: float | None
    """Since when its model is ready; None while it waits."""
    has_waited: bool = False
    is_answered: bool = False
    """Whether its answer has begun."""
    is_whole: bool = True
    """Whether it began while the exporter looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    model: str
    path: str
    ended: float
    seconds: float
    answer_s: float
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A request that ended, as the front end's activity says."""

    model: str
    path: str
    status: int
    media_type: str
    """Empty if no answer was sent."""
    seconds: float
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    prompt_per_second: float
    generated_per_second: float

    @property
    def result(self) -> str:
        """The status as a label.

        llama-swap notes 200 for a client that left while it waited, and for a stream whose
        llama-server was killed.
        """
        if self.status == 200 and not self.media_type:
            return ABORTED
        tokens = self.prompt_tokens + self.cached_tokens + self.generated_tokens
        if self.status == 200 and self.media_type == "text/event-stream" and tokens <= 0:
            return INCOMPLETE
        text = str(self.status)
        if text in STATUSES:
            return text
        return f"{text[0]}xx" if len(text) == 3 and text[0] in "2345" else OTHER


class Requests:
    """Requests of one front end. Times are of a monotonic clock, in seconds."""

    def __init__(self, plan: Plan, series: Series) -> None:
        """Begin with no request."""
        self._labels = plan.labels
        self._series = series
        self._flying: dict[str, _Request] = {}
        self._ended: deque[_Ended] = deque(maxlen=_KEPT)
        self._answers: deque[tuple[float, Answer, str]] = deque(maxlen=_KEPT)
        self.last_ok: float | None = None
        """When the last complete answer ended, in seconds since 1970."""
        self._counted: dict[str, int] = {}
        """Requests in flight by model, where the front end tells no more than that."""
        for model in plan.ids:
            for kind in ("prompt", "cached", "generated"):
                series.add("llama_swap_tokens_total", model, kind, amount=0)
            if not plan.tells_requests:
                continue
            series.add("llama_swap_answers_total", model, "200", amount=0)
            for outcome in ("ready", "failed"):
                series.begin("llama_swap_request_wait_seconds", model, outcome)
            for start in ("cold", "warm"):
                series.begin("llama_swap_request_answer_seconds", model, start)

    def label(self, name: str) -> str:
        """Return the id of a model's name, or `OTHER`."""
        return self._labels.get(name, OTHER)

    def forget(self) -> None:
        """Drop the requests in flight: the front end does not tell their ends any more."""
        self._flying.clear()
        self._counted.clear()

    def began(
        self, id: str, name: str, path: str, *, elapsed_s: float, is_ready: bool, now: float
    ) -> None:
        """Note a request in flight, unless it is known.

        Args:
            id: The front end's id of the request.
            name: The name of its model.
            path: Its path.
            elapsed_s: Seconds since it came, by the front end's clock.
            is_ready: Whether its model is ready.
            now: Monotonic time.
        """
        if id in self._flying:
            return
        if len(self._flying) >= _MOST:
            self._series.add("llama_swap_exporter_dropped_total", "request")
            return
        begun = now - max(0.0, elapsed_s)
        self._flying[id] = _Request(
            model=self.label(name),
            path=path,
            begun=begun,
            ready=begun if is_ready else None,
            has_waited=not is_ready,
        )

    def found(self, id: str, name: str, path: str, *, elapsed_s: float, now: float) -> None:
        """Note a request that began before the exporter looked: its waiting is not known."""
        is_new = id not in self._flying
        self.began(id, name, path, elapsed_s=elapsed_s, is_ready=True, now=now)
        if is_new and id in self._flying:
            self._flying[id].is_whole = False

    def only(self, ids: frozenset[str], *, now: float) -> None:
        """End the requests that are not among these."""
        for gone in self._flying.keys() - ids:
            self.left(gone, now=now)

    def answering(self, id: str) -> None:
        """Note that the answer of a request has begun."""
        if id in self._flying:
            self._flying[id].is_answered = True

    def model_ready(self, model: str, *, now: float) -> None:
        """Note that a model is ready: nothing waits for it any more."""
        for request in self._of(model, waiting=True):
            request.ready = now
            self._waited(request, "ready", now - request.begun)

    def model_gone(self, model: str) -> None:
        """Note that a model is not ready: what has no answer yet waits for it again."""
        for request in self._of(model, waiting=False):
            if not request.is_answered:
                request.ready = None
                request.has_waited = True

    def left(self, id: str, *, now: float) -> None:
        """Note the end of a request."""
        request = self._flying.pop(id, None)
        if request is None:
            return
        if request.ready is None:
            self._waited(request, "failed", now - request.begun)
            return
        if request.is_whole:
            self._ended.append(
                _Ended(
                    model=request.model,
                    path=request.path,
                    ended=now,
                    seconds=now - request.begun,
                    answer_s=now - request.ready,
                    start="cold" if request.has_waited else "warm",
                )
            )

    def answered(self, answer: Answer, *, now: float, time: float) -> None:
        """Count an answer, and keep it until the end of its request is known."""
        model, result = self.label(answer.model), answer.result
        self._series.add("llama_swap_answers_total", model, result)
        for kind, count in (
            ("prompt", answer.prompt_tokens),
            ("cached", answer.cached_tokens),
            ("generated", answer.generated_tokens),
        ):
            self._series.add("llama_swap_tokens_total", model, kind, amount=max(0, count))
        if answer.prompt_per_second > 0:
            name = "llama_swap_prompt_tokens_per_second"
            self._series.observe(name, answer.prompt_per_second, model)
        if answer.generated_per_second > 0:
            name = "llama_swap_generated_tokens_per_second"
            self._series.observe(name, answer.generated_per_second, model)
        if result == "200":
            self.last_ok = max(self.last_ok or 0.0, time)
        self._answers.append((now, answer, model))

    def counted(self, counts: Mapping[str, int]) -> None:
        """Note how many requests of each model are in flight."""
        self._counted = {self.label(name): count for name, count in counts.items()}

    def match(self, *, now: float) -> None:
        """Bring answers and ended requests together.

        The front end gives them no common name: they have model, path and duration in common.
        """
        unmatched = []
        for came, answer, model in self._answers:
            ended = min(
                (each for each in self._ended if (each.model, each.path) == (model, answer.path)),
                key=lambda each: abs(each.seconds - answer.seconds),
                default=None,
            )
            if ended is None or abs(ended.seconds - answer.seconds) > _TOLERANCE_S:
                if now - came < _UNMATCHED_S:
                    unmatched.append((came, answer, model))
                continue
            self._ended.remove(ended)
            if answer.result == "200":
                name = "llama_swap_request_answer_seconds"
                self._series.observe(name, ended.answer_s, model, ended.start)
        self._answers = deque(unmatched, maxlen=_KEPT)
        while self._ended and now - self._ended[0].ended > 2 * _UNMATCHED_S:
            self._ended.popleft()

    def in_flight(self) -> dict[str, int]:
        """Count the requests in flight by model."""
        return self._count(waiting=None) | self._counted

    def waiting(self) -> dict[str, int]:
        """Count those whose model is not ready."""
        return self._count(waiting=True)

    def _count(self, *, waiting: bool | None) -> dict[str, int]:
        counts = dict.fromkeys(dict.fromkeys(self._labels.values()), 0)
        for request in self._flying.values():
            if waiting is None or (request.ready is None) == waiting:
                counts[request.model] = counts.get(request.model, 0) + 1
        return counts

    def _of(self, model: str, *, waiting: bool) -> list[_Request]:
        return [
            request
            for request in self._flying.values()
            if request.model == model and (request.ready is None) == waiting
        ]

    def _waited(self, request: _Request, outcome: str, seconds: float) -> None:
        if request.is_whole:
            name = "llama_swap_request_wait_seconds"
            self._series.observe(name, seconds, request.model, outcome)
