from __future__ import annotations

from contextlib import ExitStack

import pytest

from in_pod.gateway.limits import Limits
from in_pod.gateway.policy import Consumer
from in_pod.gateway.refusal import RefusedError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, *, parallel: int = 100, a_minute: int | None = None) -> Limits:
    consumers = {
        name: Consumer(
            models=("m",),
            requests_per_minute=a_minute,
            parallel_requests=parallel,
            may_evict=False,
            protected_s=0,
            remote_images=False,
        )
        for name in ("poster", "agent")
    }
    return Limits(consumers, clock)


def refusal(counted: Limits, name: str = "poster") -> RefusedError:
    with pytest.raises(RefusedError) as refused, counted.request(name):
        pass
    assert refused.value.status == 429
    return refused.value


def test_requests_at_once_are_counted_for_each_consumer() -> None:
    counted = limits(Clock(), parallel=2)
    with ExitStack() as running:
        for _ in range(2):
            running.enter_context(counted.request("poster"))
        refused = refusal(counted)
        assert refused.retry_after_s == 1
        assert "2 requests in flight" in str(refused)
        with counted.request("agent"):
            pass
    with counted.request("poster"):
        pass


def test_a_request_that_fails_is_over() -> None:
    counted = limits(Clock(), parallel=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), counted.request("poster"):
            raise ZeroDivisionError


def test_requests_of_the_last_minute_are_counted() -> None:
    clock = Clock()
    counted = limits(clock, a_minute=3)
    for _ in range(3):
        with counted.request("poster"):
            clock.now += 10
    refused = refusal(counted)
    assert refused.retry_after_s == 30
    # A refused one does not count, so whoever waits as told is answered.
    clock.now += 29
    assert refusal(counted).retry_after_s == 1
    clock.now += 1
    with counted.request("poster"):
        pass
    assert refusal(counted).retry_after_s == 10
    with counted.request("agent"):
        pass


def test_without_a_limit_nothing_is_counted() -> None:
    counted = limits(Clock())
    for _ in range(1000):
        with counted.request("poster"):
            pass
