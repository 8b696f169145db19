"""What clients measure of a swap, and what the exporter tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.exporter.watched import Client, tiny, watched
from tests.real.serve.served import served

EYES = tiny("eyes")
OTHER = tiny("another", aliases=("second-name",))
SECONDS = "llama_swap_swap_seconds"


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
                # 5 % and 3 ms for each of the five requests.
                assert waited_s + cold_s == pytest.approx(seconds, rel=0.05, abs=0.015)
                swap_s = samples.value(f"{SECONDS}_sum", model=model)
                assert swap_s == pytest.approx(waited_s, rel=0.05, abs=0.015)
            answered_s = sum(
                samples.value(f"{answer}_sum", model=model, start="warm") or 0
                for model in measured
            )
            assert answered_s == pytest.approx(warm_s, rel=0.05, abs=0.03)
            state = exporter.state()
    assert [swap["outcome"] for swap in state["swaps"]] == ["ready"] * 10
    assert [swap["waited"] for swap in state["swaps"]] == [1] * 10
    assert state["models"]["another"]["state"] == "ready"
    assert state["models"]["eyes"] == {"state": "stopped", "loaded_since": None}
