"""Watching wakes no model, and keeps none awake."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from tests.real.contract.endpoint import Endpoint
from tests.real.exporter.watched import Client, tiny, watched
from tests.real.serve.served import served

SCRAPES = 240
"""As many as Prometheus makes in an hour; the exporter itself looks fifty times as often here."""
TTL_S = 4
BRIEF, OTHER = tiny("brief", ttl_s=TTL_S), tiny("another")
MODELS = (BRIEF, OTHER)
ASLEEP = {"llama-swap": "stopped", "llama-server": "sleeping"}


@pytest.mark.parametrize("name", get_args(FrontEndName))
def test_scrapes_of_an_idle_endpoint_load_nothing(name: FrontEndName, tmp_path: Path) -> None:
    with served(MODELS, tmp_path, name) as front_end:
        endpoint = Endpoint(served=front_end)
        with watched(front_end, MODELS, tmp_path) as running:
            for _ in range(SCRAPES):
                running.metrics()
                running.state()
            assert endpoint.loads() == 0
            assert endpoint.llama_servers() == []


@pytest.mark.parametrize("name", get_args(FrontEndName))
def test_scrapes_do_not_keep_a_model_awake(name: FrontEndName, tmp_path: Path) -> None:
    with served(MODELS, tmp_path, name) as front_end:
        endpoint = Endpoint(served=front_end)
        with watched(front_end, MODELS, tmp_path) as running:
            assert Client(url=front_end.url).ask("brief")[0] == 200
            answered = time.monotonic()
            scrapes, state = 0, "ready"
            while state != ASLEEP[name]:
                assert time.monotonic() - answered < TTL_S + 3, state
                time.sleep(TTL_S / SCRAPES / 2)
                state = running.state()["models"]["brief"]["state"]
                running.metrics()
                scrapes += 1
            idle_s = time.monotonic() - answered
            # Front ends look once a second.
            assert TTL_S - 0.5 < idle_s < TTL_S + 2
            for _ in range(max(0, SCRAPES - scrapes)):
                running.metrics()
            assert running.state()["models"]["brief"]["state"] == ASLEEP[name]
            assert endpoint.loads() == 1
