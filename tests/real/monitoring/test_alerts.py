"""The alerts in promtool: each fires when it should, and a quiet night fires nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.monitoring.alerts import Alert, alerts, render_rules
from ops.machine.prometheus import prometheus
from ops.report.terminal import say
from stacks.monitoring import alerts_of
from tests.declaration.pools import POOLS, RTX3090, T4, TWO_CARDS
from tests.declaration.settings import SETTINGS

GIB = 1024**3
Series = Mapping[str, str]
"""Series -> values in promtool's notation, one a minute."""

QUIET: Series = {
    "llama_swap_up": "1x120",
    "llama_swap_cluster_up": "1x120",
    'llama_swap_answers_total{model="a", status="200"}': "0+3x120",
    'llama_swap_answers_total{model="a", status="503"}': "0x120",
    'llama_swap_answers_total{model="a", status="aborted"}': "0+0.1x120",
    "llama_swap_last_answer_timestamp_seconds": "0+60x120",
    'llama_swap_failed_loads_total{model="a", class="memory"}': "0x120",
    'llama_swap_endpoint_state{state="serves"}': "1x120",
    'llama_swap_endpoint_state{state="waits"}': "0x120",
    'llama_swap_endpoint_state{state="failed"}': "0x120",
    "llama_swap_vram_others_bytes": f"{GIB // 2}x120",
    "llama_swap_window_open": "0x120",
    'llama_swap_tenant_replicas{tenant="immich/ml"}': "0x120",
    'llama_swap_tenant_ready_replicas{tenant="immich/ml"}': "0x120",
    'llama_swap_download_state{state="failed"}': "0x120",
    'llama_swap_verification_state{state="failed"}': "0x120",
}
"""Answers come, and nothing is wrong."""

TENANT_HAS_THE_CARD: Series = {
    **QUIET,
    "llama_swap_up": "0x120",
    'llama_swap_answers_total{model="a", status="200"}': "0x120",
    "llama_swap_last_answer_timestamp_seconds": "0x120",
    'llama_swap_endpoint_state{state="serves"}': "0x120",
    'llama_swap_endpoint_state{state="waits"}': "1x120",
    'llama_swap_tenant_replicas{tenant="immich/ml"}': "1x120",
    'llama_swap_tenant_ready_replicas{tenant="immich/ml"}': "1x120",
}
"""The usual state outside a window: no front end runs."""

NIGHT: Series = {
    **QUIET,
    'llama_swap_answers_total{model="a", status="200"}': "9x120",
    "llama_swap_last_answer_timestamp_seconds": "0x120",
    'llama_swap_answers_total{model="a", status="aborted"}': "0x30 1x89",
}
"""Nobody asks, but for one client that gives up."""

OUTAGE: Series = {
    **QUIET,
    'llama_swap_answers_total{model="a", status="200"}': "0+6x9 60x110",
    'llama_swap_answers_total{model="a", status="502"}': "0x10 0+6x109",
    "llama_swap_last_answer_timestamp_seconds": "0+60x9 540x110",
    'llama_swap_failed_loads_total{model="a", class="memory"}': "0x10 0+6x109",
    "llama_swap_vram_others_bytes": f"{GIB // 2}x9 {int(10.7 * GIB)}x110",
}
"""The tenth minute begins the outage of June 2026: another program grows to 10.7 GB, each load
fails, and every request ends in 502."""


@pytest.fixture(scope="session")
def promtool() -> Path:
    return prometheus(say) / "promtool"


@pytest.fixture(scope="module")
def declared(locked: tuple[LockedModel, ...]) -> tuple[Alert, ...]:
    return alerts(locked, SETTINGS.node.machine)


@pytest.fixture
def firing(promtool: Path, declared: tuple[Alert, ...], tmp_path: Path) -> Any:
    """Replay series; return the names of the alerts that fire at a minute."""
    replayed = replay_of(promtool, declared, tmp_path)
    return lambda series, minute: {name for name, _ in replayed(series, minute)}


@pytest.fixture
def firing_of_pools(promtool: Path, tmp_path: Path) -> Any:
    """Replay each pool's series; return alerts and pools that fire at a minute."""
    replayed = replay_of(promtool, alerts_of(POOLS), tmp_path)

    def replay(by_pool: Mapping[str, Series], minute: float) -> set[tuple[str, str]]:
        series: dict[str, str] = {}
        for pool in POOLS:
            scraped = f'namespace="{pool.settings.namespace}"'
            for name, values in by_pool[pool.name].items():
                metric, _, labels = name.rstrip("}").partition("{")
                series[f"{metric}{{{', '.join(filter(None, (labels, scraped)))}}}"] = values
        found: set[tuple[str, str]] = replayed(series, minute)
        return found

    return replay


def replay_of(promtool: Path, declared: tuple[Alert, ...], folder: Path) -> Any:
    (folder / "rules.yaml").write_text(render_rules(declared))

    def replay(series: Series, minute: float) -> set[tuple[str, str]]:
        # promtool compares: expect silence of each, and the differences are what fires.
        at = f"{minute * 60:.0f}s"
        test = {
            "interval": "1m",
            "input_series": [
                {"series": name, "values": values} for name, values in series.items()
            ],
            "alert_rule_test": [
                {"eval_time": at, "alertname": name}
                for name in dict.fromkeys(alert.name for alert in declared)
            ],
        }
        case = {"rule_files": ["rules.yaml"], "evaluation_interval": "15s", "tests": [test]}
        (folder / "case.yaml").write_text(yaml.safe_dump(case))
        ran = subprocess.run(
            [promtool, "test", "rules", "case.yaml"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        output = ran.stdout + ran.stderr
        fired = [
            (of_alert.partition(",")[0], re.findall(r'pool="([^"]*)"', of_alert.split("got:")[1]))
            for of_alert in output.split("alertname: ")[1:]
        ]
        assert bool(fired) == bool(ran.returncode), output
        return {(name, pool) for name, pools in fired for pool in pools or [""]}

    return replay


def test_promtool_accepts_the_rules(
    promtool: Path, declared: tuple[Alert, ...], tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(render_rules(declared))
    subprocess.run(
        [promtool, "check", "rules", "--lint-fatal", tmp_path / "rules.yaml"], check=True
    )


def test_promtool_accepts_the_rules_of_several_pools(promtool: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(render_rules(alerts_of(POOLS)))
    subprocess.run(
        [promtool, "check", "rules", "--lint-fatal", tmp_path / "rules.yaml"], check=True
    )


@pytest.mark.parametrize("series", [QUIET, TENANT_HAS_THE_CARD, NIGHT])
@pytest.mark.parametrize("minute", [5, 33, 119])
def test_a_quiet_night_fires_nothing(firing: Any, series: Series, minute: int) -> None:
    assert firing(series, minute) == set()


def test_the_outage_fires_within_five_minutes(firing: Any) -> None:
    assert firing(OUTAGE, 9) == set()
    assert firing(OUTAGE, 15) == {"LlamaSwapNoAnswers", "LlamaSwapLoadsFail"}
    assert firing(OUTAGE, 21) == {"LlamaSwapNoAnswers", "LlamaSwapLoadsFail", "LlamaSwapCardFull"}


def test_an_endpoint_that_never_answered_fires(firing: Any) -> None:
    series = dict(OUTAGE)
    del series["llama_swap_last_answer_timestamp_seconds"]
    assert "LlamaSwapNoAnswers" in firing(series, 15)


FAULTS: Mapping[str, tuple[Series, float]] = {
    "LlamaSwapLoadsFail": (
        {'llama_swap_failed_loads_total{model="a", class="memory"}': "0x9 1x110"}, 12,
    ),
    "LlamaSwapCardFull": ({"llama_swap_vram_others_bytes": f"{11 * GIB}x120"}, 11),
    "LlamaSwapEndpointFailed": (
        {
            'llama_swap_endpoint_state{state="failed"}': "1x120",
            'llama_swap_endpoint_state{state="serves"}': "0x120",
        }, 6,
    ),
    "LlamaSwapTelemetryGone": ({"llama_swap_up": "0x120"}, 11),
    "LlamaSwapWindowOverdue": (
        {
            "llama_swap_window_open": "1x120",
            "llama_swap_window_deadline_timestamp_seconds": "600x120",
        }, 16,
    ),
    "LlamaSwapTenantWaits": ({'llama_swap_tenant_replicas{tenant="immich/ml"}': "1x120"}, 11),
    "LlamaSwapDownloadFailed": ({'llama_swap_download_state{state="failed"}': "1x120"}, 6),
    "LlamaSwapVerificationFailed": (
        {'llama_swap_verification_state{state="failed"}': "1x120"}, 6,
    ),
}  # fmt: skip
"""Alert -> what differs from a quiet night, and the minute at which it fires alone."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fires_its_alert_alone(firing: Any, name: str) -> None:
    series, minute = FAULTS[name]
    assert firing({**QUIET, **series}, minute) == {name}


def test_every_alert_is_replayed(declared: tuple[Alert, ...]) -> None:
    assert {alert.name for alert in declared} == {*FAULTS, "LlamaSwapNoAnswers"}


def test_an_exporter_that_is_gone_fires(firing: Any) -> None:
    series = {name: values for name, values in QUIET.items() if name != "llama_swap_up"}
    assert firing(series, 11) == {"LlamaSwapTelemetryGone"}


def test_a_card_that_was_full_keeps_firing_for_an_hour(firing: Any) -> None:
    series = {**QUIET, "llama_swap_vram_others_bytes": f"{11 * GIB}x12 {GIB}x107"}
    assert firing(series, 60) == {"LlamaSwapCardFull"}
    assert firing(series, 80) == set()


def test_a_tenant_may_wait_while_a_window_is_open(firing: Any) -> None:
    series = {
        **QUIET,
        'llama_swap_tenant_replicas{tenant="immich/ml"}': "1x120",
        "llama_swap_window_open": "1x120",
        "llama_swap_window_deadline_timestamp_seconds": "99999x120",
    }
    assert firing(series, 30) == set()


def test_the_outage_of_a_pool_fires_for_that_pool_alone(firing_of_pools: Any) -> None:
    found = firing_of_pools({T4: QUIET, RTX3090: OUTAGE, TWO_CARDS: TENANT_HAS_THE_CARD}, 15)
    assert found == {("LlamaSwapNoAnswers", RTX3090), ("LlamaSwapLoadsFail", RTX3090)}


def test_a_night_in_each_pool_fires_nothing(firing_of_pools: Any) -> None:
    nights = {T4: QUIET, RTX3090: NIGHT, TWO_CARDS: TENANT_HAS_THE_CARD}
    assert firing_of_pools(nights, 33) == set()


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"LlamaSwapCardFull"}))
def test_a_fault_of_a_pool_fires_beside_any_other_state(firing_of_pools: Any, name: str) -> None:
    fault, minute = FAULTS[name]
    states = {T4: TENANT_HAS_THE_CARD, RTX3090: {**QUIET, **fault}, TWO_CARDS: QUIET}
    assert firing_of_pools(states, minute) == {(name, RTX3090)}


def test_a_card_is_full_by_the_measure_of_its_pool(firing_of_pools: Any) -> None:
    others = "llama_swap_vram_others_bytes"
    states = {
        T4: {**QUIET, others: f"{11 * GIB}x120"},
        # It has 24 GB.
        RTX3090: {**QUIET, others: f"{15 * GIB}x120"},
        # No model is on its second card.
        TWO_CARDS: {
            **QUIET,
            f'{others}{{card="0"}}': f"{GIB}x120",
            f'{others}{{card="1"}}': f"{13 * GIB}x120",
        },
    }
    assert firing_of_pools(states, 11) == {("LlamaSwapCardFull", T4)}


def test_the_exporter_of_a_pool_that_is_gone_fires_for_that_pool(firing_of_pools: Any) -> None:
    gone = {name: values for name, values in QUIET.items() if name != "llama_swap_up"}
    states = {T4: QUIET, RTX3090: gone, TWO_CARDS: TENANT_HAS_THE_CARD}
    assert firing_of_pools(states, 11) == {("LlamaSwapTelemetryGone", RTX3090)}
