"""One Prometheus with two pools, of which one has two cards: each has series of its own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from llama_swap_config.monitoring.alerts import render_rules
from ops.endpoint.api_key import KEY_VARIABLE
from stacks.monitoring import alerts_of, dashboard_of
from stacks.pools import DeclaredPool
from tests.declaration.pools import POOLS, T4, TWO_CARDS
from tests.in_pod.exporter.running import Running, exporter, write_plan
from tests.real.exporter.watched import PREDICTED_MIB, Client, plan_of, tiny
from tests.real.monitoring.scraping import INTERVAL_S, Prometheus, scraping
from tests.real.serve.served import served

WATCHED: tuple[DeclaredPool, ...] = tuple(pool for pool in POOLS if pool.name in (T4, TWO_CARDS))
ONE, TWO = (pool.settings.namespace for pool in WATCHED)
MODELS = (tiny("eyes"), tiny("other"))
CARDS_MIB = {ONE: (900,), TWO: (900, 7000)}
"""Namespace -> what nvidia-smi tells of each card."""


class Watched:
    """The two exporters, and the Prometheus that scrapes them."""

    def __init__(self, prometheus: Prometheus, second: ExitStack) -> None:
        self.prometheus = prometheus
        self.second = second
        """Ends the second exporter."""

    def fires(self, name: str) -> set[str]:
        """Return the pools for which an alert's expression holds now."""
        return {
            alert.pool or ""
            for alert in alerts_of(WATCHED)
            if alert.name == name and self.prometheus.values(alert.expr)
        }


@pytest.fixture(scope="module")
def watched(llama_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("pools")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv(KEY_VARIABLE, raising=False)
        exporters: dict[str, Running] = {}
        clients: list[Client] = []
        second = ExitStack()
        for namespace, cards in CARDS_MIB.items():
            place = folder / namespace
            place.mkdir()
            with pytest.MonkeyPatch.context() as with_cards:
                with_cards.setenv("PATH", f"{smi(place, cards)}{os.pathsep}{os.environ['PATH']}")
                front_end = stack.enter_context(served(MODELS, place / "served", "llama-swap"))
            plan = plan_of(front_end, MODELS)
            if len(cards) > 1:
                by_card = ({"0": PREDICTED_MIB}, {"1": PREDICTED_MIB})
                models = tuple(
                    replace(model, vram_mib_by_card=mib)
                    for model, mib in zip(plan.models, by_card, strict=True)
                )
                plan = replace(plan, models=models, cards=len(cards))
            stopped = second if namespace == TWO else stack
            exporters[namespace] = stopped.enter_context(
                exporter(write_plan(place / "plan.json", plan), front_end.url)
            )
            exporters[namespace].wait_until_up()
            clients.append(Client(url=front_end.url))
        stack.push(second)
        urls = {namespace: running.url for namespace, running in exporters.items()}
        rules = render_rules(alerts_of(WATCHED))
        prometheus = stack.enter_context(scraping(urls, rules, folder))
        for model in (*MODELS, *MODELS):
            for client in (*clients, *clients):
                assert client.ask(model.id)[0] == 200
            time.sleep(2 * INTERVAL_S)
        prometheus.until(lambda: len(prometheus.values("llama_swap_vram_others_bytes")) == 3)
        yield Watched(prometheus, second)


def smi(folder: Path, used_mib: tuple[int, ...]) -> Path:
    """Write an nvidia-smi with a line a card; return its directory."""
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    lines = "".join(
        f'  echo "{card}, Tesla T4, GPU-{card}, 40, 10, {used}, 15360, 30, 60.0"\n'
        for card, used in enumerate(used_mib)
    )
    program.write_text(f"#!/bin/sh\nwhile kill -0 $PPID 2>/dev/null; do\n{lines}  sleep 1\ndone\n")
    program.chmod(0o755)
    return program.parent


@pytest.mark.parametrize("namespace", CARDS_MIB)
def test_every_panel_shows_each_pool(watched: Watched, namespace: str) -> None:
    board = json.loads(dashboard_of(WATCHED))
    exprs = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    # No exporter here asks an API server.
    of_cluster = ("window", "tenant", "download", "verification", "cluster_up")
    shown = [expr for expr in exprs if not any(f"llama_swap_{it}" in expr for it in of_cluster)]
    assert len(shown) > 15
    for expr in shown:
        assert watched.prometheus.values(expr.replace("$pool", namespace)), expr


def test_each_card_has_its_own_memory(watched: Watched) -> None:
    used, others = "llama_swap_vram_used_bytes", "llama_swap_vram_others_bytes"
    for number, mib in enumerate(CARDS_MIB[TWO]):
        of_card = f'{{namespace="{TWO}", card="{number}"}}'
        assert watched.prometheus.values(used + of_card) == [mib * 2**20]
        # The second card has the model that was loaded last.
        ours_mib = PREDICTED_MIB * number
        assert watched.prometheus.values(others + of_card) == [(mib - ours_mib) * 2**20]
    assert watched.prometheus.values(f'{used}{{namespace="{ONE}", card=""}}') == [900 * 2**20]


def test_the_rules_of_both_pools_are_healthy_and_nothing_fires(watched: Watched) -> None:
    groups = watched.prometheus.get("/api/v1/rules")["groups"]
    assert [group["name"] for group in groups] == [f"llama-swap-{pool.name}" for pool in WATCHED]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["state"] for rule in rules} == {"inactive"}


def test_an_exporter_that_is_gone_is_missed_for_its_pool_alone(watched: Watched) -> None:
    assert watched.fires("LlamaSwapTelemetryGone") == set()
    watched.second.close()
    watched.prometheus.until(lambda: watched.fires("LlamaSwapTelemetryGone") == {TWO_CARDS})
