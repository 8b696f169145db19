"""Metrics of the gateway's own decisions; LiteLLM serves them with its own at `/metrics/`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import nan

from prometheus_client import Counter, Gauge

from .card import Others
from .keys import Keys

_CLOSED = Gauge("gateway_consumer_closed", "1 while a consumer has no valid key.", ("consumer",))


def watch_keys(keys: Keys, consumers: Iterable[str]) -> None:
    """Tell who has no valid key whenever the metrics are read."""
    for name in consumers:
        _CLOSED.labels(name).set_function(partial(keys.is_closed, name))


class Metrics:
    """Counts decisions in prometheus_client's default registry, which LiteLLM serves.

    Args:
        has_pools: Whether there are several pools, each of which is a label's value then.
    """

    def __init__(self, *, has_pools: bool) -> None:
        pool = ("pool",) if has_pools else ()
        self.refused = Counter(
            "gateway_refused_requests",
            "Requests that were not passed on, by what was in the way.",
            ("consumer", "model", "code", *pool),
        )
        self.unjudged = Counter(
            "gateway_unjudged_loads",
            "Requests for a model that was not loaded, passed on without a look at the card's "
            "memory.",
            ("reason", *pool),
        )
        self.retried = Counter(
            "gateway_retried_requests",
            "Requests sent again because the router was swapping.",
            ("model", *pool),
        )
        self.in_flight = Gauge(
            "gateway_requests_in_flight",
            "Requests that a model answers.",
            ("consumer", "model", *pool),
        )
        self.others = Gauge(
            "gateway_other_programs_memory_bytes",
            "What other programs hold of the card; NaN where nobody knows.",
            pool,
        )
        self.age = Gauge(
            "gateway_card_gauge_age_seconds",
            "Age of the gauge by which the last load was judged; NaN where there was none.",
            pool,
        )
        self._has_pools = has_pools

    def of(self, pool: str) -> PoolMetrics:
        """Return what counts for a pool."""
        return PoolMetrics(metrics=self, pool=(pool,) if self._has_pools else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMetrics:
    """Counts the decisions of one pool."""

    metrics: Metrics
    pool: tuple[str, ...]
    """The value of its label; empty where there is none."""

    def refused(self, consumer: str, model: str, code: str) -> None:
        """Count a refusal."""
        self.metrics.refused.labels(consumer, model, code, *self.pool).inc()

    def unjudged(self, reason: str) -> None:
        """Count a load that was passed on without a look at the card's memory."""
        self.metrics.unjudged.labels(reason, *self.pool).inc()

    def retried(self, model: str) -> None:
        """Count a request that was sent again."""
        self.metrics.retried.labels(model, *self.pool).inc()

    def in_flight(self, consumer: str, model: str, number: int) -> None:
        """Set how many requests of a consumer a model answers."""
        self.metrics.in_flight.labels(consumer, model, *self.pool).set(number)

    def judged_by(self, others: Others | None) -> None:
        """Set what other programs hold, and how old that is."""
        held = nan if others is None else sum(others.mib.values()) * 1024 * 1024
        self._of(self.metrics.others).set(held)
        self._of(self.metrics.age).set(nan if others is None else others.age_s)

    def _of(self, gauge: Gauge) -> Gauge:
        return gauge.labels(*self.pool) if self.pool else gauge
