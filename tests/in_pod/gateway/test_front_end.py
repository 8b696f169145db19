"""What both front ends say, and what could come instead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from in_pod.gateway.asking import Answer, SilentError
from in_pod.gateway.front_end import FrontEnd, Seen, newest_sample
from in_pod.gateway.policy import Endpoint

NOON = 1_795_953_600.0
"""2026-11-29T12:00:00Z, the server's time."""


def said(document: object, status: int = 200) -> Answer:
    return Answer(status=status, text="", document=document, server_time=NOON)


def look(front_end: str, *answers: Answer | Exception) -> tuple[Seen, list[str]]:
    pending, asked = list(answers), []

    async def get(url: str) -> Answer:
        asked.append(url)
        answer = pending.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    endpoint = Endpoint(
        url="http://endpoint:8080",
        front_end=front_end,
        timeout_s=600,
        state_url=None,
    )
    seen = FrontEnd(endpoint=endpoint, get=get, clock=lambda: 1_000.0).look()
    return asyncio.run(seen), asked


def stat(second: int = 55, **fields: Any) -> dict[str, Any]:
    default = {
        "timestamp": f"2026-11-29T11:59:{second:02}.25Z",
        "id": 0,
        "uuid": "GPU-1",
        "mem_used_mb": 9_300,
    }
    return {**default, **fields}


def test_llama_swap_is_asked_for_its_models_and_one_minute_of_gauges() -> None:
    running = [
        {"model": "a", "state": "ready"},
        {"model": "b", "state": "starting"},
        {"model": "c", "state": "stopping"},
    ]
    seen, asked = look(
        "llama-swap", said({"running": running}), said({"gpu_stats": [stat(50), stat(55)]})
    )
    assert asked == [
        "http://endpoint:8080/running",
        "http://endpoint:8080/api/performance?after=2026-11-29T11:59:00Z",
    ]
    assert seen.running == {"a": True, "b": False, "c": False}
    assert seen.loaded == {"a", "b"}
    assert seen.sample is not None
    assert seen.sample.used_mib == {0: 9_300}
    # 4.75 s before the server's second began, which may have been a second ago.
    assert seen.sample.at == pytest.approx(1_000 - 5.75)


def test_the_router_is_asked_for_its_models_only() -> None:
    states = ("unloaded", "loading", "loaded", "sleeping", "downloading")
    models = [{"id": state, "status": {"value": state}} for state in states]
    seen, asked = look("llama-server", said({"data": models}))
    assert asked == ["http://endpoint:8080/models"]
    assert seen.running == {"loading": False, "loaded": True, "sleeping": True}
    assert seen.sample is None


def test_gauges_that_are_switched_off_are_no_gauges() -> None:
    seen, _ = look("llama-swap", said({"running": []}), said({"enabled": False}, 503))
    assert seen == Seen(running={}, ending=frozenset(), sample=None)


def test_gauges_that_come_too_late_leave_nothing_to_judge_by() -> None:
    with pytest.raises(SilentError):
        look("llama-swap", said({"running": []}), SilentError("slow"))


@pytest.mark.parametrize("document", [None, [], {"running": 1}, {"error": "unauthorized"}])
def test_an_answer_without_models_says_nothing(document: object) -> None:
    with pytest.raises(SilentError, match=r"^its answer has no list 'running'$"):
        look("llama-swap", said(document))


def test_an_endpoint_that_rejects_the_key_is_named() -> None:
    with pytest.raises(SilentError, match=r"^it answers 401 to /models$"):
        look("llama-server", said({}, 401))


@pytest.mark.parametrize(
    "stats",
    [
        None,
        [],
        "x",
        [{}],
        [None],
        [stat(timestamp="yesterday")],
        [stat(mem_used_mb=None)],
        [stat(mem_used_mb=float("nan"))],
        [stat(mem_used_mb=-1)],
        [stat(mem_used_mb=10**400)],
        # Whose memory a model would take is not known.
        [stat(), stat(id=1, uuid="GPU-2")],
    ],
)
def test_gauges_that_cannot_be_read_are_none(stats: object) -> None:
    assert newest_sample(said({"gpu_stats": stats}), 0) is None


def test_a_gauge_of_an_answer_without_a_date_has_no_age() -> None:
    answer = Answer(status=200, text="", document={"gpu_stats": [stat()]}, server_time=0)
    assert newest_sample(answer, 0) is None


def test_each_card_has_its_newest_gauge_and_the_oldest_of_them_gives_the_age() -> None:
    stats = [
        stat(50, id=1, uuid="GPU-2", mem_used_mb=1),
        stat(58),
        stat(55, id=1, uuid="GPU-2", mem_used_mb=700),
    ]
    sample = newest_sample(said({"gpu_stats": stats}), 1_000, cards=2)
    assert sample is not None
    assert sample.used_mib == {0: 9_300, 1: 700}
    assert sample.at == pytest.approx(1_000 - 5.75)


@pytest.mark.parametrize("cards", [1, 3])
def test_as_many_gauges_as_cards_are_expected(cards: int) -> None:
    stats = [stat(), stat(id=1, uuid="GPU-2")]
    assert newest_sample(said({"gpu_stats": stats}), 0, cards=cards) is None
