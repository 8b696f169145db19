"""Why the endpoint does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from in_pod.gateway.asking import Answer, SilentError
from in_pod.gateway.state import Why, why
from tests.in_pod.gateway.policies import consumer, pool

ML = "immich/immich-machine-learning"


def reason(
    answer: object, *, tenants: tuple[str, ...] = (ML,), state_url: str | None = "http://exporter"
) -> Why:
    async def get(url: str) -> Answer:
        assert url == "http://exporter"
        if isinstance(answer, Exception):
            raise answer
        return Answer(status=200, text="", document=answer, server_time=0)

    of = pool({"a": 1}, {"poster": consumer("a")}, tenants=tenants, state_url=state_url)
    return asyncio.run(why(of, get))


def stated(state: str, text: str = "", **fields: Any) -> dict[str, Any]:
    endpoint = {"state": state, "reason": text, "ready_in_s": fields.pop("ready_in_s", None)}
    window = fields.pop("window", {"open": False, "holder": None, "until": None})
    has_card = fields.pop("has_card", False)
    return {
        "version": 1,
        "endpoint": endpoint,
        "window": window,
        "tenants": [{"name": ML, "has_card": has_card}],
    }


def test_a_tenant_with_the_card_is_named() -> None:
    assert reason(stated("waits", "pod is Pending", has_card=True)) == Why(
        reason=f"{ML} has the card; no window is open", holder=ML
    )


def test_a_window_that_is_open_is_said_too() -> None:
    for holder, said in (("photo-poster", "photo-poster"), (None, "an unknown holder")):
        window = {"open": True, "holder": holder, "until": None}
        assert reason(stated("waits", has_card=True, window=window)).reason == (
            f"{ML} has the card; a window is open for {said}"
        )


def test_an_endpoint_that_warms_up_says_when_it_is_ready() -> None:
    assert reason(stated("warming", "reads 6.2 GB", ready_in_s=41.5)) == Why(
        reason="it warms up: reads 6.2 GB; ready in about 42 s", retry_after_s=42
    )


def test_a_failed_endpoint_says_the_pod_s_reason_in_one_line() -> None:
    assert reason(stated("failed", "CrashLoopBackOff:\n  exit code 1")) == Why(
        reason="it failed: CrashLoopBackOff: exit code 1"
    )


def test_an_endpoint_that_only_the_exporter_reaches_is_said() -> None:
    assert reason(stated("serves")) == Why(reason="it serves the exporter, but not the gateway")


def test_what_the_exporter_says_is_bounded() -> None:
    found = reason(stated("warming", "\n".join("x" * 1000), ready_in_s=1e12))
    assert found.retry_after_s == 3600
    assert "\n" not in found.reason
    assert len(found.reason) < 400


DECLARED = Why(reason=f"outside a window {ML} has the card", holder=ML)


@pytest.mark.parametrize(
    "answer",
    [
        SilentError("slow"),
        None,
        [],
        {},
        {"endpoint": {}},
        stated("warming", ready_in_s="soon"),
        stated("warming", ready_in_s=float("nan")),
    ],
)
def test_without_an_answer_the_declared_tenants_are_named(answer: object) -> None:
    assert reason(answer) == DECLARED


def test_without_an_exporter_nobody_is_asked() -> None:
    assert reason(AssertionError(), state_url=None) == DECLARED
    assert reason(AssertionError(), state_url=None, tenants=()).holder is None
