"""llama-swap itself does what the simulated pools of bench-pools say of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.gateway.doors import Door
from benchmarks.swap.arms import LACKING, FrontEndArm, front_end
from benchmarks.swap.ask import LONG_TOKENS, Answer
from benchmarks.swap.tiny_store import MODELS, make_store
from ops.commands.serve.run import available

FIRST, SECOND = MODELS


@pytest.fixture
def llama_swap(tmp_path: Path) -> Iterator[FrontEndArm]:
    if "llama-swap" not in available():
        pytest.skip(LACKING)
    with front_end("llama-swap", make_store(tmp_path / "models"), tmp_path / "front-end") as arm:
        yield arm


def loads(arm: FrontEndArm) -> int:
    return Door(name=arm.name, port=arm.port, callers=(), log=arm.served.log).loads()


def end_s(arm: FrontEndArm, model: str) -> float:
    with Answer(arm.port, model) as answer:
        answer.first_token()
        answer.rest()
    return time.monotonic()


def test_requests_that_wait_for_a_model_share_its_load(llama_swap: FrontEndArm) -> None:
    with ThreadPoolExecutor(6) as threads:
        ends = [threads.submit(end_s, llama_swap, model) for model in MODELS * 3]
        assert all(end.result() for end in ends)
    assert loads(llama_swap) == len(MODELS)


def test_a_busy_model_keeps_its_place_and_its_requests_overtake(llama_swap: FrontEndArm) -> None:
    with ThreadPoolExecutor(2) as threads:
        with Answer(llama_swap.port, FIRST, max_tokens=LONG_TOKENS) as busy:
            busy.first_token()
            other = threads.submit(end_s, llama_swap, SECOND)
            # Until llama-swap has queued it.
            time.sleep(0.3)
            overtaking = threads.submit(end_s, llama_swap, FIRST)
            busy.rest()
        assert overtaking.result() < other.result()
    assert loads(llama_swap) == len(MODELS)
