"""Metrics of the gateway's own decisions; LiteLLM serves them with its own at `/metrics/`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from math import nan

from prometheus_client import Counter, Gauge

from .card import Others
from .keys import Keys

_REFUSED = Counter(
    "gateway_refused_requests",
    "Requests that were not passed on, by what was in the way.",
    ("consumer", "model", "code"),
)
_UNJUDGED = Counter(
    "gateway_unjudged_loads",
    "Requests for a model that was not loaded, passed on without a look at the card's memory.",
    ("reason",),
)
_RETRIED = Counter(
    "gateway_retried_requests", "Requests sent again because the router was swapping.", ("model",)
)
_IN_FLIGHT = Gauge(
    "gateway_requests_in_flight", "Requests that a model answers.", ("consumer", "model")
)
_OTHERS = Gauge(
    "gateway_other_programs_memory_bytes",
    "What other programs hold of the card; NaN where nobody knows.",
)
_AGE = Gauge(
    "gateway_card_gauge_age_seconds",
    "Age of the gauge by which the last load was judged; NaN where there was none.",
)
_CLOSED = Gauge("gateway_consumer_closed", "1 while a consumer has no valid key.", ("consumer",))


def watch_keys(keys: Keys, consumers: Iterable[str]) -> None:
    """Tell who has no valid key whenever the metrics are read."""
    for name in consumers:
        _CLOSED.labels(name).set_function(partial(keys.is_closed, name))


class Metrics:
    """Counts decisions in prometheus_client's default registry, which LiteLLM serves."""

    def refused(self, consumer: str, model: str, code: str) -> None:
        """Count a refusal."""
        _REFUSED.labels(consumer, model, code).inc()

    def unjudged(self, reason: str) -> None:
        """Count a load that was passed on without a look at the card's memory."""
        _UNJUDGED.labels(reason).inc()

    def retried(self, model: str) -> None:
        """Count a request that was sent again."""
        _RETRIED.labels(model).inc()

    def in_flight(self, consumer: str, model: str, number: int) -> None:
        """Set how many requests of a consumer a model answers."""
        _IN_FLIGHT.labels(consumer, model).set(number)

    def judged_by(self, others: Others | None) -> None:
        """Set what other programs hold, and how old that is."""
        _OTHERS.set(others.mib * 1024 * 1024 if others else nan)
        _AGE.set(others.age_s if others else nan)
