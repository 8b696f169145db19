"""The requests, what is counted of them, and how a cell crosses to LiteLLM's Python."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest

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
from benchmarks.pools.tables import against
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


def test_a_ratio_needs_something_to_compare_with() -> None:
    assert against(150, 100, "{:.0f}") == "150 1.50x"
    assert against(150, 0, "{:.0f}") == "150"


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
    by_arm = {
        arm.name: Figures(requests=1, loads_per_1000=100 * index, p95_s=index, failed=0)
        for index, arm in enumerate(ARMS)
    }
    cases = {Case(pools=2, models=models, mix=mix): by_arm for models in (3, 10) for mix in
             get_args(Mix)}  # fmt: skip
    drawn = render(cases, "A note.")
    assert drawn.count("<title>") == 2 * len(ARMS)
    assert "least-busy, all pools: 400, p95 4.0 s" in drawn
