"""What clients measure of a swap, and what the exporter tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.swap.delay import LateStart
from tests.real.contract.endpoint import EYES, SECONDS_LONG
from tests.real.exporter.watched import Client, tiny, watched
from tests.real.serve.served import served

SWAP, WAIT = "llama_swap_swap_seconds", "llama_swap_request_wait_seconds"
ANSWER = "llama_swap_request_answer_seconds"
BESIDE = tiny("beside", aliases=("second-name",))
ROUNDS = 3


def test_the_histograms_agree_with_what_clients_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 5 %, and 10 ms of a busy machine for each request."""
    cold_s, warm_s = {"eyes": 0.0, "beside": 0.0}, 0.0
    with LateStart(tmp_path / "late") as late:
        late.delay_s = 1.5
        for variable, value in late.env.items():
            monkeypatch.setenv(variable, value)
        with served((EYES, BESIDE), tmp_path / "served", "llama-swap") as front_end:
            client = Client(url=front_end.url)
            with watched(front_end, (EYES, BESIDE), tmp_path) as running:
                for _ in range(ROUNDS):
                    cold_s["eyes"] += client.answered("eyes")
                    warm_s += client.answered("eyes", tokens=SECONDS_LONG, ignore_eos=True)
                    cold_s["beside"] += client.answered("second-name")
                samples = running.wait_for(
                    lambda now: sum(now.series(f"{ANSWER}_count").values()) == 3 * ROUNDS
                )
                state = running.state()

    def total(name: str, **labels: str) -> float:
        assert samples.value(f"{name}_count", **labels) == ROUNDS
        seconds = samples.value(f"{name}_sum", **labels)
        assert seconds is not None
        return seconds

    def measured(seconds: float) -> object:
        return pytest.approx(seconds, rel=0.05, abs=0.01 * ROUNDS)

    for model, seconds in cold_s.items():
        waited_s = total(WAIT, model=model, outcome="ready")
        assert waited_s + total(ANSWER, model=model, start="cold") == measured(seconds)
        assert total(SWAP, model=model) == measured(waited_s)
    assert total(ANSWER, model="eyes", start="warm") == measured(warm_s)
    assert [swap["outcome"] for swap in state["swaps"]] == ["ready"] * 2 * ROUNDS
    assert [swap["waited"] for swap in state["swaps"]] == [1] * 2 * ROUNDS
    assert state["models"]["beside"]["state"] == "ready"
    assert state["models"]["eyes"] == {"state": "stopped", "loaded_since": None}
