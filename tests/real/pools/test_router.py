"""LiteLLM's own Router over the simulated pools of bench-pools."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.pools.arms import ARMS, DECLARED, OUTAGE_ARMS, Arm, homes, router
from benchmarks.pools.cell import Cell, Mix, Seen
from benchmarks.pools.simulators import simulated
from benchmarks.pools.traffic import model_names, pool_names
from ops.errors import OpsError
from ops.machine.checkout import ROOT

BY_NAME = {arm.name: arm for arm in OUTAGE_ARMS}
OUTAGE_S = (150, 250)


def cell(
    arm: Arm,
    *,
    pools: int = 3,
    models: int = 7,
    mix: Mix = "steady",
    outage_s: tuple[float, float] | None = None,
) -> Cell:
    return Cell(
        pools=pools,
        models=models,
        mix=mix,
        seed=1,
        requests=80,
        outage_s=outage_s,
        router=router(arm, pools=pools, models=models),
    )


def seen_in(*cells: Cell) -> list[Seen]:
    by_index = dict(simulated(cells, say=print))
    return [by_index[index] for index in range(len(cells))]


def loaded(seen: Seen) -> set[tuple[str, str]]:
    return {(load.model, load.pool) for load in seen.loads}


def in_homes(*, pools: int, models: int, first: bool) -> set[tuple[str, str]]:
    names = pool_names(pools)
    return {
        (model, names[pool])
        for index, model in enumerate(model_names(models))
        for pool in homes(index, pools)[: 1 if first else 2]
    }


def test_equal_seeds_give_equal_answers_in_any_process() -> None:
    first, second, *others = seen_in(*(cell(arm) for arm in (ARMS[1], ARMS[1], *ARMS[2:])))
    assert first == second
    assert all(each.asked != first.asked for each in others)


def test_declared_homes_load_a_model_in_its_home_alone() -> None:
    (seen,) = seen_in(cell(DECLARED))
    assert not any(asked.error for asked in seen.asked)
    assert loaded(seen) == in_homes(pools=3, models=7, first=True)


def test_the_second_home_answers_while_the_home_is_down() -> None:
    (seen,) = seen_in(cell(DECLARED, outage_s=OUTAGE_S))
    assert not any(asked.error for asked in seen.asked)
    assert loaded(seen) > in_homes(pools=3, models=7, first=True)
    assert loaded(seen) <= in_homes(pools=3, models=7, first=False)
    moved = [load.at_s for load in seen.loads if (load.model, load.pool) == ("model-0", "pool-1")]
    assert moved
    assert OUTAGE_S[0] <= min(moved)
    assert max(moved) < OUTAGE_S[1]
    # Requests for the models of the first pool go home again.
    back = [load for load in seen.loads if load.pool == "pool-0" and load.at_s >= OUTAGE_S[1]]
    assert {load.model for load in back} == {"model-0", "model-3", "model-6"}


def test_without_order_a_dead_pool_costs_answers_and_retries_save_some() -> None:
    none, two = seen_in(
        *(
            cell(BY_NAME[name], outage_s=OUTAGE_S)
            for name in ("shuffle, two homes", "shuffle, two homes, 2 retries")
        )
    )
    errors = [sum(bool(asked.error) for asked in seen.asked) for seen in (none, two)]
    assert errors[0] > errors[1]
    assert {asked.error for asked in none.asked} == {"", "InternalServerError"}


def test_least_busy_sees_the_requests_that_run() -> None:
    shared = {"pools": 2, "models": 1}
    steady, bursty = seen_in(
        cell(BY_NAME["least-busy, two homes"], mix="steady", **shared),
        cell(BY_NAME["least-busy, two homes"], mix="bursty", **shared),
    )
    # While nothing runs it chooses the first deployment, so the other pool loads later.
    assert [load.pool for load in steady.loads] == ["pool-0", "pool-1"]
    assert steady.loads[0].at_s == steady.asked[0].at_s
    assert steady.loads[1].at_s > steady.asked[1].at_s
    # The burst's second request comes while the first one runs.
    assert [load.at_s for load in bursty.loads] == [asked.at_s for asked in bursty.asked[:2]]


def test_a_deployment_everywhere_loads_everywhere() -> None:
    (seen,) = seen_in(cell(BY_NAME["shuffle, all pools"], models=2))
    assert Counter(pool for _, pool in loaded(seen)) == dict.fromkeys(pool_names(3), 2)


def test_a_simulator_that_ends_is_one_line() -> None:
    broken = Cell(
        pools=2, models=1, mix="steady", seed=1, requests=1,
        router={**router(DECLARED, pools=2, models=1), "no_such_option": 1},
    )  # fmt: skip
    with pytest.raises(
        OpsError, match=r"^a simulation of 2 pools ended: TypeError: .*no_such_option"
    ):
        seen_in(broken, broken)


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (("--seeds", "0"), 2, "argument --seeds: 0; expected at least 1"),
        (("--requests", "12"), 2, "argument --requests: 12; expected at least 60"),
        (("--json", "/nowhere/pools.json"), 1, "/nowhere/pools.json cannot be written"),
    ],
)
def test_a_mistake_is_one_line_before_the_work(
    options: tuple[str, ...], code: int, line: str, tmp_path: Path
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
