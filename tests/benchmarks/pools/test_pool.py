"""The simulated pools and their clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterator
from typing import TypeVar

import pytest

from benchmarks.pools.clock import VirtualLoop
from benchmarks.pools.pool import CARD_MIB, MODEL_MIB, Pool, TooManyRequestsError

_Result = TypeVar("_Result")
# Any two of the first three fit, but not with a third one.
SIZES_MIB = {"a": 5120, "b": 5120, "c": 5120, "whole": CARD_MIB}
LOAD_S = 5
"""Of a model of 5 GiB."""


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def pool() -> Pool:
    return Pool("pool-0", SIZES_MIB)


async def after(delay_s: float, asked: Coroutine[object, object, _Result]) -> _Result:
    await asyncio.sleep(delay_s)
    return await asked


async def end_s(asked: Coroutine[object, object, None]) -> float:
    await asked
    return asyncio.get_running_loop().time()


def models_of(pool: Pool) -> list[str]:
    return [load.model for load in pool.loads]


def test_the_clock_jumps_to_the_next_timer(loop: VirtualLoop) -> None:
    async def sleeps() -> list[float]:
        return await asyncio.gather(*(end_s(asyncio.sleep(delay_s)) for delay_s in (7200, 0, 1)))

    assert loop.run_until_complete(sleeps()) == pytest.approx([7200, 0, 1])


def test_the_clock_does_not_wait_for_ever(loop: VirtualLoop) -> None:
    with pytest.raises(RuntimeError, match="no timer will wake one"):
        loop.run_until_complete(loop.create_future())


@pytest.mark.parametrize("seed", range(4))
def test_a_card_never_holds_more_than_fits(loop: VirtualLoop, seed: int) -> None:
    sizes_mib = {f"model-{index}": MODEL_MIB[index % 3] for index in range(9)}
    pool = Pool("pool-0", sizes_mib)
    chance = random.Random(seed)

    async def ask() -> None:
        await after(
            chance.uniform(0, 900), pool.ask(chance.choice([*sizes_mib]), chance.uniform(1, 3))
        )

    async def ask_often() -> None:
        await asyncio.gather(*(ask() for _ in range(200)))

    loop.run_until_complete(ask_often())
    assert len(pool.loads) > 20
    held = [(load.model, *load.beside) for load in pool.loads]
    assert all(len(set(models)) == len(models) for models in held)
    assert max(len(models) for models in held) == 3
    assert all(sum(map(sizes_mib.__getitem__, models)) <= CARD_MIB for models in held)


def test_requests_for_a_loaded_model_cause_no_load(loop: VirtualLoop, pool: Pool) -> None:
    async def ask() -> None:
        for model in ("a", "b", "a", "b", "b", "a"):
            await pool.ask(model, 1)

    loop.run_until_complete(ask())
    assert models_of(pool) == ["a", "b"]
    assert loop.time() == pytest.approx(2 * LOAD_S + 6)


def test_requests_that_wait_for_a_model_share_its_load_and_its_slot(
    loop: VirtualLoop, pool: Pool
) -> None:
    async def ask() -> list[float]:
        return await asyncio.gather(*(end_s(pool.ask("a", 2)) for _ in range(3)))

    assert loop.run_until_complete(ask()) == pytest.approx([LOAD_S + 2, LOAD_S + 4, LOAD_S + 6])
    assert models_of(pool) == ["a"]


@pytest.mark.parametrize(("kept", "victim"), [("a", "b"), ("b", "a")])
def test_the_least_recently_used_model_goes_first(
    loop: VirtualLoop, pool: Pool, kept: str, victim: str
) -> None:
    async def ask() -> None:
        for model in (kept, victim, kept, "c"):
            await pool.ask(model, 1)

    loop.run_until_complete(ask())
    assert pool.loads[-1].beside == (kept,)


def test_a_busy_model_keeps_its_place_and_its_requests_overtake(
    loop: VirtualLoop, pool: Pool
) -> None:
    async def ask() -> tuple[float, float, float]:
        return await asyncio.gather(
            end_s(pool.ask("a", 10)),
            end_s(after(LOAD_S + 1, pool.ask("whole", 1))),
            end_s(after(LOAD_S + 2, pool.ask("a", 10))),
        )

    first, other, second = loop.run_until_complete(ask())
    assert (first, second) == pytest.approx((LOAD_S + 10, LOAD_S + 20))
    assert other == pytest.approx(second + CARD_MIB / 1024 + 1)


def test_the_eleventh_request_for_a_model_is_refused(loop: VirtualLoop, pool: Pool) -> None:
    async def ask() -> list[BaseException | None]:
        return await asyncio.gather(
            *(pool.ask("a", 1) for _ in range(11)), pool.ask("b", 1), return_exceptions=True
        )

    refused = [type(each) for each in loop.run_until_complete(ask()) if each is not None]
    assert refused == [TooManyRequestsError]


def test_a_model_that_nobody_waits_for_is_not_loaded(loop: VirtualLoop, pool: Pool) -> None:
    async def ask() -> None:
        busy = asyncio.ensure_future(pool.ask("a", 20))
        await asyncio.sleep(LOAD_S + 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.ask("whole", 1), timeout=3)
        await busy
        await pool.ask("b", 1)

    loop.run_until_complete(ask())
    assert models_of(pool) == ["a", "b"]


def test_a_pool_that_dies_fails_its_requests_and_comes_back_without_models(
    loop: VirtualLoop, pool: Pool
) -> None:
    async def ask() -> list[BaseException | None]:
        running = [asyncio.ensure_future(pool.ask(model, 9)) for model in ("a", "a", "b")]
        await asyncio.sleep(LOAD_S + 1)
        pool.die()
        failed = await asyncio.gather(*running, pool.ask("a", 1), return_exceptions=True)
        pool.come_back()
        await pool.ask("a", 1)
        return failed

    failed = loop.run_until_complete(ask())
    assert [type(each) for each in failed] == [ConnectionResetError] * 3 + [ConnectionRefusedError]
    assert models_of(pool) == ["a", "b", "a"]
    assert pool.loads[-1].beside == ()
