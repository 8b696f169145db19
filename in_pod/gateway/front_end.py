"""What the front end says of its models and of the card, without loading a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from .asking import ANSWER_S, Answer, Get, SilentError, UnreachableError
from .card import STALE_S, Sample
from .failed_load import FailedLoad, logged_failure
from .policy import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a front end said."""

    running: Mapping[str, bool]
    """The models that hold memory -> whether they are ready, not loading or ending."""
    ending: frozenset[str]
    """Those that are ending: a request for one waits until it is loaded again."""
    sample: Sample | None
    """The newest gauge of each card; None if it has none."""

    @property
    def loaded(self) -> frozenset[str]:
        """The models that are loaded or loading."""
        return frozenset(self.running) - self.ending


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """Asks llama-swap, or llama-server's router.

    Both answer these paths without loading a model and without resetting an idle clock.
    """

    endpoint: Endpoint
    get: Get
    cards: int = 1
    """How many cards its pod has."""
    clock: Callable[[], float] = time.monotonic

    async def look(self) -> Seen:
        """Return what runs.

        Raises:
            UnreachableError: when nothing serves there.
            SilentError: when the answer comes too late or says nothing.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._look()
        except TimeoutError as error:
            raise SilentError(f"no answer within {ANSWER_S} s") from error

    async def _look(self) -> Seen:
        if self.endpoint.front_end == "llama-swap":
            answer = await self._asked("/running")
            states = {
                _text(entry.get("model")): _text(entry.get("state"))
                for entry in _entries(answer, "running")
            }
            sample = await self._sample(answer.server_time)
        else:
            answer = await self._asked("/models")
            states = {
                _text(entry.get("id")): _text(status.get("value"))
                for entry in _entries(answer, "data")
                if isinstance(status := entry.get("status"), dict)
            }
            sample = None
        return Seen(
            running={
                model: state in ("ready", "loaded", "sleeping")
                for model, state in states.items()
                if state in _HOLDING
            },
            ending=frozenset(model for model, state in states.items() if state == "stopping"),
            sample=sample,
        )

    async def logged_failure(self, model: str) -> FailedLoad | None:
        """Return what the log says of a model's last load; None where it says nothing."""
        if self.endpoint.front_end != "llama-swap":
            return None
        try:
            return logged_failure(model, (await self._asked("/logs")).text)
        except (UnreachableError, SilentError):
            return None

    async def _asked(self, path: str) -> Answer:
        answer = await self.get(f"{self.endpoint.url}{path}")
        if answer.status != 200:
            raise SilentError(f"it answers {answer.status} to {path}")
        return answer

    async def _sample(self, server_time: float) -> Sample | None:
        since = datetime.fromtimestamp(server_time - STALE_S, UTC)
        query = f"after={since:%Y-%m-%dT%H:%M:%SZ}"
        answer = await self.get(f"{self.endpoint.url}/api/performance?{query}")
        return newest_sample(answer, self.clock(), cards=self.cards)


_HOLDING = ("starting", "ready", "stopping", "loading", "loaded", "sleeping")
"""States of llama-swap and of the router in which a model's process runs."""


def newest_sample(answer: Answer, now: float, *, cards: int = 1) -> Sample | None:
    """Read the newest gauges from llama-swap's `/api/performance`.

    Args:
        answer: The answer, whose clock is the server's.
        now: Seconds of this machine's monotonic clock.
        cards: How many cards its pod has (default: 1).

    Returns:
        None where there is not one gauge for each card.
    """
    stats = answer.document.get("gpu_stats") if isinstance(answer.document, dict) else None
    if not isinstance(stats, list) or not stats or not answer.server_time:
        return None
    try:
        newest: dict[tuple[int, Any], tuple[float, float]] = {}
        for stat in stats:
            gauge = (
                datetime.fromisoformat(stat["timestamp"]).timestamp(),
                float(stat["mem_used_mb"]),
            )
            card = stat["id"], stat.get("uuid")
            newest[card] = max(gauge, newest.get(card, gauge))
        gauges = [newest[card] for card in sorted(newest)]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None
    if len(gauges) != cards or not all(0 <= used_mib < inf for _, used_mib in gauges):
        return None
    # The server's time is rounded down, so a gauge may be a second older than it seems.
    taken = min(taken for taken, _ in gauges)
    return Sample(
        at=now - max(0.0, answer.server_time + 1 - taken),
        used_mib={card: used_mib for card, (_, used_mib) in enumerate(gauges)},
    )


def _entries(answer: Answer, name: str) -> list[dict[str, Any]]:
    listed = answer.document.get(name) if isinstance(answer.document, dict) else None
    if not isinstance(listed, list):
        raise SilentError(f"its answer has no list {name!r}")
    return [entry for entry in listed if isinstance(entry, dict)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
