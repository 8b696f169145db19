"""A consumer's requests a minute and at once.

LiteLLM has such limits too, but not for llama.cpp's own paths, and it answers `Retry-After: 60`
to the second one: a client would sleep a minute where a second is enough.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .policy import Consumer
from .refusal import RefusedError

_MINUTE_S = 60.0


class Limits:
    """Counts the requests of each consumer."""

    def __init__(
        self, consumers: Mapping[str, Consumer], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumers = consumers
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._begun: dict[str, deque[float]] = {name: deque() for name in consumers}

    @contextmanager
    def request(self, name: str) -> Iterator[None]:
        """Count a request of a consumer while the context lasts.

        Raises:
            RefusedError: 429 when it is one too many.
        """
        self._begin(name)
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1

    def _begin(self, name: str) -> None:
        consumer = self._consumers[name]
        if self._running[name] >= consumer.parallel_requests:
            raise RefusedError(
                429,
                "too_many_parallel_requests",
                f"{name} has {self._running[name]} requests in flight; expected at most "
                f"{consumer.parallel_requests}. Retry when one of them is answered",
                retry_after_s=1,
            )
        if consumer.requests_per_minute is None:
            return
        now, begun = self._clock(), self._begun[name]
        while begun and begun[0] <= now - _MINUTE_S:
            begun.popleft()
        if len(begun) >= consumer.requests_per_minute:
            raise RefusedError(
                429,
                "too_many_requests",
                f"{name} has sent {len(begun)} requests in a minute; expected at most "
                f"{consumer.requests_per_minute}. Retry later",
                retry_after_s=max(1, math.ceil(begun[0] + _MINUTE_S - now)),
            )
        begun.append(now)
