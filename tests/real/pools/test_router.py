"""LiteLLM's own Router over the simulated pools of bench-pools."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.pools.arms import DECLARED, OUTAGE_ARMS, Arm, homes, router
from benchmarks.pools.cell import Cell, Seen
from benchmarks.pools.simulators import simulated
from benchmarks.pools.traffic import model_names, pool_names
from ops.errors import OpsError
from ops.machine.checkout import ROOT

OUTAGE_S = (60, 120)
"""Of 267 s."""
BY_NAME = {arm.name: arm for arm in OUTAGE_ARMS}


def cell(
    arm: Arm, *, pools: int = 3, models: int = 7, outage_s: tuple[float, float] | None = None
) -> Cell:
    return Cell(
        pools=pools,
        models=models,
        mix="steady",
        seed=1,
        requests=80,
        outage_s=outage_s,
        router=router(arm, pools=pools, models=models),
    )


CELLS = {
    "homes": cell(DECLARED),
    "homes, outage": cell(DECLARED, outage_s=OUTAGE_S),
    "shuffle": cell(BY_NAME["shuffle, two homes"]),
    "shuffle again": cell(BY_NAME["shuffle, two homes"]),
    "shuffle, outage": cell(BY_NAME["shuffle, two homes"], outage_s=OUTAGE_S),
    "retries, outage": cell(BY_NAME["shuffle, two homes, 2 retries"], outage_s=OUTAGE_S),
    "least-busy": cell(BY_NAME["least-busy, two homes"], pools=2, models=1),
    "everywhere": cell(BY_NAME["shuffle, all pools"], models=2),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    by_index = dict(simulated(tuple(CELLS.values()), say=print))
    return {name: by_index[index] for index, name in enumerate(CELLS)}


def loaded(seen: Seen) -> set[tuple[str, str]]:
    return {(load.model, load.pool) for load in seen.loads}


def in_homes(*, pools: int, models: int, first: bool) -> set[tuple[str, str]]:
    names = pool_names(pools)
    return {
        (model, names[pool])
        for index, model in enumerate(model_names(models))
        for pool in homes(index, pools)[: 1 if first else 2]
    }


def test_equal_cells_are_seen_alike(seen: dict[str, Seen]) -> None:
    assert seen["shuffle"] == seen["shuffle again"]
    assert seen["shuffle"] != seen["homes"]


def test_declared_homes_load_a_model_in_its_home_alone(seen: dict[str, Seen]) -> None:
    assert not any(asked.error for asked in seen["homes"].asked)
    assert loaded(seen["homes"]) == in_homes(pools=3, models=7, first=True)


def test_the_second_home_answers_while_the_home_is_down(seen: dict[str, Seen]) -> None:
    outage = seen["homes, outage"]
    assert not any(asked.error for asked in outage.asked)
    assert loaded(outage) <= in_homes(pools=3, models=7, first=False)
    away = loaded(outage) - in_homes(pools=3, models=7, first=True)
    assert {pool for _, pool in away} == {"pool-1"}
    moved = [load.at_s for load in outage.loads if (load.model, load.pool) in away]
    assert OUTAGE_S[0] <= min(moved)
    assert max(moved) < OUTAGE_S[1]
    # Later requests for the models of the first pool go home again.
    back = [load for load in outage.loads if load.pool == "pool-0" and load.at_s >= OUTAGE_S[1]]
    assert {load.model for load in back} == {"model-0", "model-3", "model-6"}


def test_without_order_a_dead_pool_costs_answers_and_retries_save_some(
    seen: dict[str, Seen],
) -> None:
    lost = Counter(asked.error for asked in seen["shuffle, outage"].asked)
    saved = Counter(asked.error for asked in seen["retries, outage"].asked)
    assert set(lost) == {"", "InternalServerError"}
    assert saved["InternalServerError"] < lost["InternalServerError"]


def test_least_busy_sees_the_requests_that_run(seen: dict[str, Seen]) -> None:
    first, second = seen["least-busy"].loads
    assert (first.pool, second.pool) == ("pool-0", "pool-1")
    # While nothing runs it chooses the first deployment.
    assert second.at_s == next(
        later.at_s
        for earlier, later in pairwise(seen["least-busy"].asked)
        if later.at_s < earlier.at_s + earlier.wait_s
    )


def test_a_deployment_everywhere_loads_everywhere(seen: dict[str, Seen]) -> None:
    assert Counter(pool for _, pool in loaded(seen["everywhere"])) == dict.fromkeys(
        pool_names(3), 2
    )


def test_a_simulator_that_ends_is_one_line() -> None:
    broken = Cell(
        pools=2, models=1, mix="steady", seed=1, requests=1,
        router={**router(DECLARED, pools=2, models=1), "no_such_option": 1},
    )  # fmt: skip
    with pytest.raises(
        OpsError, match=r"^a simulation of 2 pools ended: TypeError: .*no_such_option"
    ):
        dict(simulated((broken, broken), say=print))


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (("--seeds", "0"), 2, "argument --seeds: '0'; expected a whole number from 1"),
        (("--requests", "6e1"), 2, "argument --requests: '6e1'; expected a whole number from 60"),
        (("--json", "/nowhere/pools.json"), 1, "/nowhere/pools.json cannot be written"),
    ],
    ids=["seeds", "requests", "json"],
)
def test_a_mistake_is_one_line_before_the_work(
    options: tuple[str, ...], code: int, line: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.pools.compare", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code
    assert line in ended.stderr.splitlines()[-1]
    assert not ended.stdout
