"""The requests, what is counted of them, and how a cell crosses to LiteLLM's Python."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest
from rich.table import Table

from benchmarks.pools.arms import ARMS, DECLARED, router
from benchmarks.pools.cell import (
    Asked,
    Cell,
    Load,
    Mix,
    Seen,
    cell_line,
    read_cell,
    read_seen,
    seen_line,
)
from benchmarks.pools.figure import render
from benchmarks.pools.figures import Case, Figures, figures, span_s
from benchmarks.pools.tables import outage_table, tables
from benchmarks.pools.traffic import traffic

REQUESTS = 1200


def cell(mix: Mix, seed: int = 1) -> Cell:
    return Cell(pools=4, models=10, mix=mix, seed=seed, requests=REQUESTS, router={})


@pytest.mark.parametrize("mix", get_args(Mix))
def test_a_mix_is_decided_by_its_seed_and_as_fast_as_the_others(mix: Mix) -> None:
    requests = traffic(cell(mix))
    assert requests == traffic(cell(mix))
    assert requests != traffic(cell(mix, seed=2))
    assert len(requests) == REQUESTS
    assert all(before.at_s <= after.at_s for before, after in pairwise(requests))
    assert requests[-1].at_s == pytest.approx(span_s(pools=4, requests=REQUESTS), rel=0.2)


def test_half_of_the_hot_requests_are_for_one_model() -> None:
    counted = Counter(request.model for request in traffic(cell("hot")))
    assert counted["model-0"] / REQUESTS == pytest.approx(0.55, abs=0.05)
    assert max(counted[model] for model in counted if model != "model-0") / REQUESTS < 0.1


def test_bursts_are_eight_requests_for_one_model() -> None:
    by_model: dict[str, list[float]] = {}
    for request in traffic(cell("bursty")):
        by_model.setdefault(request.model, []).append(request.at_s)
    assert all(len(times) % 8 == 0 for times in by_model.values())
    gaps = [after - before for times in by_model.values() for before, after in pairwise(times)]
    assert sum(gap <= 0.5 + 1e-9 for gap in gaps) / len(gaps) >= 7 / 8 - 0.01


def test_a_cell_and_what_was_seen_survive_json() -> None:
    seen = Seen(
        asked=(Asked(at_s=1.5, model="a", wait_s=2, error="TimeoutError"),),
        loads=(Load(at_s=1.5, pool="pool-0", model="a", beside=("b", "c")),),
    )
    assert read_seen(seen_line(seen)) == seen
    assert read_cell(cell_line(cell("hot"))) == cell("hot")


def test_only_what_starts_in_the_period_is_counted() -> None:
    asked = [Asked(at_s=at_s, model="a", wait_s=at_s) for at_s in range(9)]
    failed = Asked(at_s=4, model="a", wait_s=99, error="InternalServerError")
    loads = [Load(at_s=at_s, pool="p", model="a", beside=()) for at_s in (1.9, 2, 3, 4.9, 5)]
    seen = Seen(asked=(*asked, failed), loads=tuple(loads))
    assert figures([seen, seen], 2, 5) == Figures(
        requests=8, loads_per_1000=750, p95_s=4, failed=2
    )
    assert figures([seen], 50, 60) == Figures(requests=0, loads_per_1000=0, p95_s=0, failed=0)


def of(loads: float, p95_s: float = 2.0, failed: int = 0) -> Figures:
    return Figures(requests=9, loads_per_1000=loads, p95_s=p95_s, failed=failed)


def rows(table: Table) -> list[list[str]]:
    return [[*cells] for cells in zip(*(column.cells for column in table.columns), strict=True)]


def test_each_arm_is_compared_with_declared_homes() -> None:
    other = "shuffle, two homes"
    calm, refusing = (Case(pools=2, models=models, mix="hot") for models in (3, 10))
    by_case = {
        calm: {DECLARED.name: of(0), other: of(150)},
        refusing: {DECLARED.name: of(100, p95_s=4), other: of(150, failed=2)},
    }
    loads, waits, failed = map(rows, tables(by_case))
    assert loads == [["2", "3", "hot", "0", "150"], ["2", "10", "hot", "100 1.00x", "150 1.50x"]]
    assert [row[-1] for row in waits] == ["2.0 1.00x", "2.0 0.50x"]
    assert failed == [["2", "10", "hot", "0", "2"]]
    assert len([*tables({calm: by_case[calm]})]) == 2


def test_an_outage_without_answers_has_no_wait() -> None:
    case = Case(pools=2, models=3, mix="steady")
    table = outage_table({"arm": {"before": of(7), "during": of(0, p95_s=0, failed=9)}}, case)
    assert rows(table) == [["arm", "9", "18", "7", "0", "2.0", "-"]]


def test_homes_have_an_order_and_the_others_the_same_deployments_without() -> None:
    by_arm = {arm.name: router(arm, pools=4, models=5) for arm in ARMS}
    deployed = {
        name: [
            (entry["model_name"], entry["litellm_params"]["api_base"])
            for entry in options["model_list"]
        ]
        for name, options in by_arm.items()
    }
    two_homes = deployed[DECLARED.name]
    assert two_homes[-2:] == [("model-4", "http://pool-0/v1"), ("model-4", "http://pool-1/v1")]
    assert deployed["shuffle, two homes"] == deployed["least-busy, two homes"] == two_homes
    assert len(deployed["shuffle, all pools"]) == 5 * 4
    orders = {
        name: [entry["litellm_params"].get("order") for entry in options["model_list"]]
        for name, options in by_arm.items()
    }
    assert orders.pop(DECLARED.name) == [1, 2] * 5
    assert {order for of_arm in orders.values() for order in of_arm} == {None}
    assert all(options["disable_cooldowns"] for options in by_arm.values())


def test_the_figure_draws_the_steady_cases_alone() -> None:
    by_arm = {arm.name: of(100 * index, p95_s=index) for index, arm in enumerate(ARMS)}
    cases = {Case(pools=2, models=models, mix=mix): by_arm for models in (3, 10) for mix in
             get_args(Mix)}  # fmt: skip
    drawn = render(cases, "A note.")
    assert drawn.count("<title>") == 2 * len(ARMS)
    assert "least-busy, all pools: 400, p95 4.0 s" in drawn
