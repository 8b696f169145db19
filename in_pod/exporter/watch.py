"""What the exporter has seen of the front end: the one place that several threads change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from .card import Cards, Reading
from .contract import ONLY_CARD, OTHER
from .lines import Lines
from .plan import Plan
from .requests import Answer, Requests
from .series import Series
from .swaps import ModelState, Swap, Swaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Flying:
    """A request in flight, as the front end tells it."""

    id: str
    model: str
    path: str
    elapsed_s: float
    is_answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A copy of what was seen."""

    is_up: bool
    reason: str
    """Why the front end is not followed; empty if it is."""
    version: str
    states: Mapping[str, ModelState]
    swaps: tuple[Swap, ...]
    in_flight: Mapping[str, int]
    waiting: Mapping[str, int] | None
    """None where the front end does not tell it."""
    last_ok: float | None
    cards: Mapping[str, Reading]
    """Card -> its last reading."""
    now: float
    """Monotonic time of the copy."""


class Watch:
    """What was seen, under one lock."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a front end.

        Args:
            plan: The plan.
            clock: Returns monotonic seconds (default: this machine's).
        """
        self.plan = plan
        self.series = Series()
        self._clock = clock
        self._lock = threading.RLock()
        self._swaps = Swaps(plan, self.series)
        self._requests = Requests(plan, self.series)
        self._cards = Cards(plan)
        self._is_up = False
        self._reason = "not connected yet"
        self._version = ""
        self.series.add("llama_swap_exporter_reconnects_total", amount=0)
        for what in ("event", "request", "answer"):
            self.series.add("llama_swap_exporter_dropped_total", what, amount=0)

    def connected(self, version: str) -> None:
        """Note that the front end is followed."""
        with self._lock:
            self._is_up, self._reason = True, ""
            self._version = "".join(filter(str.isprintable, version))[:40]

    def disconnected(self, reason: str) -> None:
        """Note that it is not followed any more: nothing is known of its models and requests."""
        with self._lock:
            if self._is_up:
                self.series.add("llama_swap_exporter_reconnects_total")
            self._is_up, self._reason = False, reason
            self._swaps.forget()
            self._requests.forget()

    def lines(self, lines: Lines, chunk: bytes) -> Iterator[bytes]:
        """Yield the data lines of an event stream; count those that are too long."""
        skipped = lines.skipped
        for line in lines.feed(chunk):
            if line.startswith(b"data:"):
                yield line
        if lines.skipped > skipped:
            self.dropped("event", lines.skipped - skipped)

    def dropped(self, what: str, count: int = 1) -> None:
        """Count something that the exporter cannot use: event, request or answer."""
        self.series.add("llama_swap_exporter_dropped_total", what, amount=count)

    def model_states(self, states: Iterable[tuple[str, str]]) -> None:
        """Note states of models."""
        with self._timed() as (now, moment):
            counts = self._requests.waiting()
            # Of two changes that are told at once, the stop came first.
            for name, state in sorted(states, key=lambda pair: pair[1] != "stopped"):
                waiting = counts.get(self._requests.label(name), 0)
                model = self._swaps.change(name, state, waiting=waiting, now=now, time=moment)
                if model is None:
                    continue
                if state == "ready":
                    self._requests.model_ready(model, now=now)
                else:
                    self._requests.model_gone(model)

    def first_states(self, states: Iterable[tuple[str, str]]) -> None:
        """Note the states of models of which nothing is known yet."""
        with self._lock:
            self.model_states([pair for pair in states if self.state_of(pair[0]) == "unknown"])

    def load_failed(self, name: str, reason: str) -> None:
        """Note why a load failed."""
        with self._timed() as (now, moment):
            waiting = self._requests.waiting().get(self._requests.label(name), 0)
            self._swaps.failed(name, reason, waiting=waiting, now=now, time=moment)

    def crashed(self, name: str) -> None:
        """Note that the llama-server of a loaded model ended by itself."""
        with self._lock:
            self._swaps.crashed(name)

    def state_of(self, name: str) -> str:
        """Return a model's state."""
        with self._lock:
            model = self._swaps.states.get(self._requests.label(name))
            return "unknown" if model is None else model.state

    @property
    def is_loading(self) -> bool:
        """Whether a log line may explain a load."""
        return self._swaps.is_loading

    def engine_log(self, text: str) -> None:
        """Note what the llama-servers log."""
        with self._lock:
            self._swaps.log(text)

    def request(self, request: Flying) -> None:
        """Note a request in flight, or that its answer begins."""
        with self._timed() as (now, _):
            model = self._requests.label(request.model)
            self._requests.began(
                request.id,
                request.model,
                request.path,
                elapsed_s=request.elapsed_s,
                is_ready=model == OTHER or self._swaps.is_ready(model),
                now=now,
            )
            if request.is_answered:
                self._requests.answering(request.id)

    def requests(self, requests: Iterable[Flying]) -> None:
        """Note all requests in flight: the others have ended."""
        with self._timed() as (now, _):
            ids = set()
            for request in requests:
                ids.add(request.id)
                self._requests.found(
                    request.id, request.model, request.path, elapsed_s=request.elapsed_s, now=now
                )
            self._requests.only(frozenset(ids), now=now)

    def request_ended(self, id: str) -> None:
        """Note the end of a request."""
        with self._timed() as (now, _):
            self._requests.left(id, now=now)

    def answers(self, answers: Iterable[Answer]) -> None:
        """Count answers."""
        with self._timed() as (now, moment):
            for answer in answers:
                self._requests.answered(answer, now=now, time=moment)
            self._requests.match(now=now)

    def tokens(self, name: str, counts: Mapping[str, float]) -> None:
        """Count tokens of answers that are not told one by one, by kind."""
        with self._timed() as (_, moment):
            model = self._requests.label(name)
            for kind, count in counts.items():
                self.series.add("llama_swap_tokens_total", model, kind, amount=count)
            if counts.get("generated", 0) > 0:
                self.answered_at(moment)

    def in_flight(self, counts: Mapping[str, int]) -> None:
        """Note how many requests of each model are in flight."""
        with self._lock:
            self._requests.counted(counts)

    def answered_at(self, moment: float) -> None:
        """Note when a complete answer ended, in seconds since 1970."""
        with self._lock:
            self._requests.last_ok = max(self._requests.last_ok or 0.0, moment)

    def gpu(self, used: float, total: float, card: str = ONLY_CARD) -> None:
        """Note a reading of a card, in bytes."""
        with self._timed() as (now, _):
            self._cards.read(
                card,
                used,
                total,
                loaded=self._swaps.loaded,
                changed=self._swaps.changed,
                now=now,
            )

    def settle(self) -> None:
        """Finish what waits for a line that has not come."""
        with self._timed() as (now, moment):
            self._swaps.settle(now=now, time=moment)
            self._requests.match(now=now)

    def seen(self) -> Seen:
        """Return a copy."""
        with self._lock:
            return Seen(
                is_up=self._is_up,
                reason=self._reason,
                version=self._version,
                states=dict(self._swaps.states),
                swaps=tuple(self._swaps.last),
                in_flight=self._requests.in_flight(),
                waiting=self._requests.waiting() if self.plan.tells_requests else None,
                last_ok=self._requests.last_ok,
                cards=self._cards.readings,
                now=self._clock(),
            )

    @contextmanager
    def _timed(self) -> Iterator[tuple[float, float]]:
        with self._lock:
            yield self._clock(), time.time()
