"""Another program takes the card: the 503 says so within two seconds, and nothing is ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.real.gateway.gateway import Gateway, consumer, gateway, model
from tests.real.gateway.played_card import PlayedCard, played_card
from tests.real.gateway.played_exporter import PlayedExporter, played_exporter
from tests.real.gateway.refusals import refusal, sized, unload

ML = "immich/immich-machine-learning"
SIZES = {"large": 8_000, "small": 5_000}
CONSUMERS = (consumer("poster", "large", "small", protected_s=0),)


@pytest.fixture(scope="module")
def exporter() -> Iterator[PlayedExporter]:
    with played_exporter() as playing:
        yield playing


@pytest.fixture(scope="module")
def played(
    exporter: PlayedExporter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, PlayedCard]]:
    folder = tmp_path_factory.mktemp("co-tenant")
    with (
        played_card(folder / "card", folder / "gateway" / "served", SIZES) as card,
        gateway(
            tuple(model(name, projector=None, image_max_tokens=None) for name in SIZES),
            CONSUMERS,
            folder / "gateway",
            "llama-swap",
            edit_policy=lambda policy: sized(policy, SIZES),
            tenants=(ML,),
            state_url=exporter.url,
        ) as started,
    ):
        yield started, card


@pytest.fixture
def running(played: tuple[Gateway, PlayedCard], exporter: PlayedExporter) -> Gateway:
    """With nothing loaded, and nobody else on the card since the last gauge."""
    started, card = played
    exporter.said = None
    card.hold(0)
    unload(started)
    wait_for_gauge(started, 0)
    return started


@pytest.fixture
def card(played: tuple[Gateway, PlayedCard]) -> PlayedCard:
    return played[1]


def wait_for_gauge(running: Gateway, used_mib: int) -> None:
    """Wait until llama-swap has read what the card shows."""
    with httpx2.Client(base_url=running.served.url, trust_env=False) as client:
        for _ in range(300):
            gauges = client.get("/api/performance").json()["gpu_stats"]
            if gauges and gauges[-1]["mem_used_mb"] == used_mib:
                return
            time.sleep(0.1)
    pytest.fail(f"llama-swap never read {used_mib} MiB")


def timed(running: Gateway, name: str) -> tuple[httpx2.Response, float]:
    began = time.monotonic()
    return running.chat("poster", name), time.monotonic() - began


def test_a_co_tenant_that_takes_the_card_is_said_and_ends_nothing(
    running: Gateway, card: PlayedCard
) -> None:
    assert running.chat("poster", "large").status_code == 200
    servers = card.servers("large")
    assert servers
    card.hold(11_000)
    wait_for_gauge(running, 19_000)
    answer, seconds = timed(running, "small")
    error = refusal(answer)
    assert seconds < 2
    assert error["code"] == "card_in_use"
    assert error["mib_needed"] == 5_000
    # Of a T4's 14,912.
    assert error["mib_free"] == 3_912
    assert error["holder"] == (
        f"another program holds 11,000 MiB (outside a window {ML} has the card)"
    )
    assert not card.servers("small")
    assert running.chat("poster", "large").status_code == 200
    assert card.servers("large") == servers

    card.hold(0)
    released = time.monotonic()
    while running.chat("poster", "small").status_code == 503:
        assert time.monotonic() < released + 15
        time.sleep(0.5)
    assert card.servers("small")


def test_the_answer_names_the_tenant_and_the_metrics_count_it(
    running: Gateway, card: PlayedCard, exporter: PlayedExporter
) -> None:
    exporter.say("serves", tenant=ML, has_card=True)
    card.hold(11_000)
    wait_for_gauge(running, 11_000)
    error = refusal(running.chat("poster", "small"))
    assert error["holder"] == (
        f"another program holds 11,000 MiB ({ML} has the card; no window is open)"
    )
    with running.client() as client:
        metrics = client.get("/metrics/").text
    values = dict(
        line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("gateway_")
    )
    labels = 'code="card_in_use",consumer="poster",model="small"'
    assert float(values[f"gateway_refused_requests_total{{{labels}}}"]) >= 1
    assert float(values["gateway_other_programs_memory_bytes"]) == 11_000 * 1024**2
    assert 0 <= float(values["gateway_card_gauge_age_seconds"]) < 60
