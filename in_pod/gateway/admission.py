"""Admission: a request passes, or is refused before it ends a model that others use.

Looking, deciding and noting are one step under one lock, so two requests never count on the same
memory. Who waits for whom afterwards is the front end's own scheduling.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from .asking import SilentError, UnreachableError
from .books import Books
from .card import STALE_S, CardWatch, Others
from .decision import RETRY_S, Refusal, Snapshot, decide, does_not_fit, ended_by
from .failed_load import FailedLoad
from .front_end import Seen
from .policy import Pool
from .state import Why

_LOG = logging.getLogger("gateway")
_LOOK_EVERY_S = 1.0
"""While there are requests: several looks between two gauges."""
_LOOK_ON_S = 10.0
"""After the last request: two gauges."""
_FRESH_S = 3.0
"""Age up to which a look counts for a loaded model, whose request ends nothing."""


class Counts(Protocol):
    """Where decisions are counted."""

    def refused(self, consumer: str, model: str, code: str) -> None:
        """Count a refusal."""

    def unjudged(self, reason: str) -> None:
        """Count a request that was passed on without a look at the card's memory."""

    def retried(self, model: str) -> None:
        """Count a request that was sent again."""

    def in_flight(self, consumer: str, model: str, number: int) -> None:
        """Set how many requests of a consumer a model answers."""

    def judged_by(self, others: Others | None) -> None:
        """Set what other programs hold, and how old that is."""


class LooksAt(Protocol):
    """The front end, as `front_end.FrontEnd` asks it."""

    async def look(self) -> Seen:
        """Return what runs. Raises UnreachableError or SilentError."""

    async def logged_failure(self, model: str) -> FailedLoad | None:
        """Return what the log says of a model's last load; None where it says nothing."""


class NotAdmittedError(Exception):
    """A request that a pool does not take now.

    Args:
        refusal: Why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A look at the front end."""

    began: float
    ended: float
    error: UnreachableError | SilentError | None


@dataclass(slots=True, kw_only=True)
class Admission:
    """Decides for one pool, in one process, which is the only gateway of its endpoint."""

    pool: Pool
    front_end: LooksAt
    why: Callable[[], Awaitable[Why]]
    """Says why the endpoint does not answer, or which tenant has the card."""
    counts: Counts
    clock: Callable[[], float] = time.monotonic
    _books: Books = field(init=False)
    _card: CardWatch = field(init=False)
    _lock: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    _look: _Look = field(init=False)
    _loaded: frozenset[str] = field(init=False, default=frozenset())
    """The models that are loaded or loading, by the last answer and by what has answered since."""
    _answered_at: float = field(init=False, default=float("-inf"))
    """When the front end answered last."""
    _changed_at: float = field(init=False, default=float("-inf"))
    """When a request ended that changed what is loaded; a look from before does not count."""
    _asked_at: float = field(init=False, default=float("-inf"))
    _looking: asyncio.Task[None] | None = field(init=False, default=None)
    _said: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._books = Books(consumers=self.pool.consumers, started_at=self.clock())
        self._card = CardWatch(pool=self.pool)
        never = float("-inf")
        self._look = _Look(began=never, ended=never, error=None)

    @asynccontextmanager
    async def of(
        self, consumer: str, model: str, *, arrived: float | None = None
    ) -> AsyncIterator[None]:
        """Hold a place on the cards while a request is answered.

        Args:
            consumer: Who asks.
            model: The id of the model.
            arrived: When the request came, by `clock` (default: now).

        Raises:
            NotAdmittedError: when the request may not be passed on now.
        """
        self._asked_at = self.clock()
        arrived = self._asked_at if arrived is None else arrived
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        if self._passes_at_once(model, arrived):
            self._begin(consumer, model)
        else:
            async with self._lock:
                await self._look_since(arrived)
                refusal = self._decide(consumer, model)
                if refusal is None:
                    self._begin(consumer, model)
            if refusal is not None:
                raise NotAdmittedError(refusal)
        try:
            yield
        finally:
            self._end(consumer, model)

    async def failed(self, model: str, failure: FailedLoad) -> Refusal:
        """Return why an admitted request has no answer: its model could not be loaded after all.

        Args:
            model: The id of the model.
            failure: What is known of it.
        """
        failure = await self.front_end.logged_failure(model) or failure
        async with self._lock:
            await self._look_since(self.clock())
            refusal = self._unreachable(model)
            if refusal is None:
                refusal = does_not_fit(self.pool, self._snapshot(without=model), model)
        if refusal is None:
            refusal = self._refusal("load_failed", model, "its load failed", failure.reason)
        return replace(refusal, failure=failure.failure)

    async def explained(self, refusal: Refusal) -> Refusal:
        """Return a refusal with what the exporter knows of it."""
        if refusal.code == "endpoint_unreachable":
            why = await self.why()
            return replace(refusal, holder=why.reason, retry_after_s=why.retry_after_s)
        if refusal.code == "card_in_use" and (why := await self.why()).holder:
            return replace(refusal, holder=f"{refusal.holder} ({why.reason})")
        return refusal

    async def has(self, model: str, arrived: float) -> bool:
        """Return whether a model is loaded or loading, by a look of the last seconds."""
        await self._look_lately(arrived)
        return self._reachable and model in self._snapshot().running

    async def has_room(self, model: str, arrived: float) -> bool:
        """Return whether a model is loaded, or would end no other one, by such a look."""
        await self._look_lately(arrived)
        return self._reachable and not ended_by(self.pool, self._snapshot(), model)

    def _passes_at_once(self, model: str, now: float) -> bool:
        look = self._look
        if look.ended < now - _FRESH_S or look.began < self._changed_at:
            return False
        # While a load is awaited, only a new look tells what it has ended.
        return model in self._loaded and self._books.users().keys() <= self._loaded

    def _begin(self, consumer: str, model: str) -> None:
        self._books.begin(consumer, model, self.clock())
        self.counts.in_flight(consumer, model, self._books.in_flight(consumer, model))

    def _end(self, consumer: str, model: str) -> None:
        self._books.end(consumer, model, self.clock())
        self.counts.in_flight(consumer, model, self._books.in_flight(consumer, model))
        self._asked_at = self.clock()
        if model not in self._loaded:
            # It was loaded to answer, and ended others for that.
            ended = ended_by(self.pool, self._snapshot(without=model), model)
            self._loaded = self._loaded.difference(ended) | {model}
            self._changed_at = self.clock()

    async def _keep_looking(self) -> None:
        while self._books.users() or self.clock() < self._asked_at + _LOOK_ON_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            async with self._lock:
                await self._look_since(self.clock())

    async def _look_lately(self, arrived: float) -> None:
        async with self._lock:
            await self._look_since(arrived - _FRESH_S)

    @property
    def _reachable(self) -> bool:
        return not isinstance(self._look.error, UnreachableError)

    async def _look_since(self, arrived: float) -> None:
        """Look at the front end, unless someone has looked since a request arrived."""
        look = self._look
        match look.error:
            case None:
                covers = arrived < look.began
            case UnreachableError():
                # Whoever waited for it meanwhile need not wait for it again.
                covers = arrived < look.ended
            case SilentError():
                covers = arrived < look.ended + _FRESH_S
        if covers:
            return
        began, error = self.clock(), None
        try:
            seen = await self.front_end.look()
        except (UnreachableError, SilentError) as failure:
            error = failure
        ended = self.clock()
        self._look = _Look(began=began, ended=ended, error=error)
        if error is None:
            self._loaded, self._answered_at = seen.loaded, ended
            self._books.found(seen.loaded)
            self._card.look(ended, seen.running, seen.sample)

    def _decide(self, consumer: str, model: str) -> Refusal | None:
        refusal = self._unreachable(model)
        if refusal is not None:
            return refusal
        if self._look.error and self._answered_at < self.clock() - STALE_S:
            self._unjudged(str(self._look.error), "no answer")
            return None
        snapshot = self._snapshot()
        refusal = decide(self.pool, snapshot, consumer, model)
        if model in snapshot.running:
            return refusal
        others = snapshot.others
        if isinstance(others, Others):
            self.counts.judged_by(others)
            self._say("")
        else:
            self.counts.judged_by(None)
            if refusal is None:
                self._unjudged(others.reason, others.reason)
        return refusal

    def _snapshot(self, *, without: str | None = None) -> Snapshot:
        now = self.clock()
        users = self._books.users()
        return Snapshot(
            running=(self._loaded | users.keys()) - {without},
            users=users,
            protected=self._books.protected(now),
            others=self._card.others(now),
            last_used=self._books.last_used(),
        )

    def _unreachable(self, model: str) -> Refusal | None:
        if self._reachable:
            return None
        text = "the endpoint does not answer"
        return self._refusal("endpoint_unreachable", model, text, str(self._look.error))

    def _refusal(self, code: str, model: str, reason: str, holder: str) -> Refusal:
        return Refusal(
            code=code,
            reason=reason,
            holder=holder,
            retry_after_s=RETRY_S,
            mib_needed=max(self.pool.vram_mib[model].values()),
        )

    def _unjudged(self, text: str, reason: str) -> None:
        self.counts.unjudged(reason)
        self._say(f"loads are passed on without a look at the card's memory: {text}")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            _LOG.warning("gateway: %s", text or "the card's memory is known again")
