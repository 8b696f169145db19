"""Detect from outside that another client unloaded our model; this loads nothing."""

from __future__ import annotations

import statistics
from collections import deque

from ops.commands.bench.asking.exchange import Exchange
from ops.endpoint import residents
from ops.endpoint.client import Endpoint

_TIMEOUT_S = 10
_REMEMBERED = 50
_TIMES = 3
_LEAST_S = 0.25
"""A load takes at least this long behind llama-swap, which does not poll a model's health
earlier."""
_LEAST_WITHOUT_CACHE_S = 0.05
"""llama-server's own router reports at once; an emptied cache then tells a load from a busy
moment."""


class Watch:
    """Watches one model while it is asked."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        """Send no request yet."""
        self._endpoint = endpoint
        self._model = model
        self._waits: deque[float] = deque(maxlen=_REMEMBERED)
        self._was_cached = False

    def is_loaded(self) -> bool | None:
        """Whether the model is loaded or loading; None: this front end does not tell."""
        state = residents.find(self._endpoint, timeout_s=_TIMEOUT_S)
        return None if state.front_end is None else self._model in state.loaded

    def was_swapped(self, exchange: Exchange) -> bool:
        """Tell whether an answer waited for a load of our model.

        The time that llama-server itself does not count is waiting, for the network or for a
        load. An answer that waited much longer than the others came from a model that had just
        been loaded, if its cache was empty, or if the model is unloaded again by now.
        """
        wait_s = exchange.wall_s - (exchange.server_s or 0.0)
        usual_s = statistics.median(self._waits) if self._waits else None
        cached = exchange.cached_tokens
        lost_cache = cached == 0 and self._was_cached
        self._was_cached = self._was_cached or bool(cached)
        least_s = _LEAST_WITHOUT_CACHE_S if lost_cache else _LEAST_S
        is_outlier = usual_s is not None and wait_s > _TIMES * usual_s + least_s
        if not is_outlier:
            self._waits.append(wait_s)
            return False
        return lost_cache or self.is_loaded() is False
