"""Swaps, failed loads and crashes of the real front ends, as the exporter tells them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import psutil
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from tests.real.exporter.watched import Client, watched
from tests.real.serve.served import served


def _model(id: str, **fields: object) -> Model:
    return Model(id=id, repository="tiny/random", quantisation="F32", **fields)  # type: ignore[arg-type]


EYES = _model("eyes")
OTHER = _model("another", aliases=("second-name",))
BROKEN = _model("broken")
GONE = _model("gone")
SECONDS = "llama_swap_swap_seconds"
FAILED = "llama_swap_failed_loads_total"


def test_the_swap_histogram_agrees_with_what_clients_measured(tmp_path: Path) -> None:
    models = (EYES, OTHER)
    with served(models, tmp_path, "llama-swap") as front_end:
        client = Client(url=front_end.url)
        with watched(front_end, models, tmp_path) as exporter:
            measured = {"eyes": 0.0, "another": 0.0}
            warm_s = 0.0
            for _ in range(5):
                for model in measured:
                    status, seconds = client.ask(model)
                    assert status == 200
                    measured[model] += seconds
                    warm_s += client.ask(model)[1]
            samples = exporter.wait_for(
                lambda now: sum(now.series("llama_swap_answers_total").values()) == 20
            )
            samples = exporter.wait_for(
                lambda now: (
                    sum(now.series("llama_swap_request_answer_seconds_count").values()) == 20
                )
            )
            for model, seconds in measured.items():
                assert samples.value(f"{SECONDS}_count", model=model) == 5
                wait = "llama_swap_request_wait_seconds"
                waited_s = samples.value(f"{wait}_sum", model=model, outcome="ready")
                assert samples.value(f"{wait}_count", model=model, outcome="ready") == 5
                answer = "llama_swap_request_answer_seconds"
                cold_s = samples.value(f"{answer}_sum", model=model, start="cold")
                assert samples.value(f"{answer}_count", model=model, start="cold") == 5
                assert waited_s is not None
                assert cold_s is not None
                # The clients also made connections: 10 ms for each of five requests.
                assert waited_s + cold_s == pytest.approx(seconds, rel=0.05, abs=0.05)
                swap_s = samples.value(f"{SECONDS}_sum", model=model)
                assert swap_s == pytest.approx(waited_s, rel=0.05, abs=0.05)
            answered_s = sum(
                samples.value(f"{answer}_sum", model=model, start="warm") or 0
                for model in measured
            )
            assert answered_s == pytest.approx(warm_s, rel=0.05, abs=0.1)
            state = exporter.state()
    assert [swap["outcome"] for swap in state["swaps"]] == ["ready"] * 10
    assert [swap["waited"] for swap in state["swaps"]] == [1] * 10
    assert state["models"]["another"]["state"] == "ready"
    assert state["models"]["eyes"] == {"state": "stopped", "loaded_since": None}


@pytest.mark.parametrize("name", get_args(FrontEndName))
def test_a_failed_load_and_a_killed_llama_server_show(name: FrontEndName, tmp_path: Path) -> None:
    models = (EYES, BROKEN, GONE)
    with served(models, tmp_path, name) as front_end:
        (tmp_path / "models" / "broken" / "model.gguf").write_bytes(b"GGUF nonsense")
        (tmp_path / "models" / "gone" / "model.gguf").unlink()
        client = Client(url=front_end.url)
        with watched(front_end, models, tmp_path) as exporter:
            assert client.ask("broken")[0] == 500
            assert client.ask("gone")[0] == 500
            assert client.ask("eyes")[0] == 200
            for server in psutil.Process(front_end.pid).children(recursive=True):
                server.kill()
            # The router's events tell an exit code and no log.
            expected = "file" if name == "llama-swap" else "unknown"
            samples = exporter.wait_for(
                lambda now: (
                    now.value("llama_swap_crashes_total", model="eyes") == 1
                    and now.value(FAILED, model="gone", **{"class": expected}) == 1
                )
            )
            assert samples.value(FAILED, model="broken", **{"class": expected}) == 1
            assert sum(samples.series(FAILED).values()) == 2
            swaps = "llama_swap_swaps_total"
            assert samples.value(swaps, model="eyes", outcome="ready") == 1
            assert samples.value(swaps, model="gone", outcome="failed") == 1
