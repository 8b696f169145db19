"""Loads that fail, and a front end that goes, each in the class that it belongs to."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import get_args

import psutil
import pytest

from benchmarks.swap.delay import LateStart
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from ops.commands.serve import run as serve
from tests.in_pod.exporter.running import Running, exporter, write_plan
from tests.real.exporter.watched import PREDICTED_MIB, Client, plan_of, tiny, watched
from tests.real.serve.served import NO_LLAMA_SWAP, served, store_of

EYES, OTHER, BROKEN, GONE = tiny("eyes"), tiny("another"), tiny("broken"), tiny("gone")
HUGE = tiny(
    "huge",
    context=4_000_000,
    extra_args=("--override-kv", "qwen3vl.context_length=int:4000000"),
)
"""Its cache takes a GB."""
FAILED, CRASHES = "llama_swap_failed_loads_total", "llama_swap_crashes_total"
T4_MIB = 15360
_WHY = "error loading model"


@pytest.mark.parametrize("name", get_args(FrontEndName))
def test_a_failed_load_and_a_killed_llama_server_show(name: FrontEndName, tmp_path: Path) -> None:
    models = (EYES, BROKEN, GONE)
    with served(models, tmp_path, name) as front_end:
        (tmp_path / "models" / "broken" / "model.gguf").write_bytes(b"GGUF nonsense")
        (tmp_path / "models" / "gone" / "model.gguf").unlink()
        client = Client(url=front_end.url)
        with watched(front_end, models, tmp_path) as running:
            tries = {model: fail(client, model, front_end.log) for model in ("broken", "gone")}
            assert client.ask("eyes")[0] == 200
            for server in psutil.Process(front_end.pid).children(recursive=True):
                server.kill()
            # The router's events tell an exit code and no log.
            expected = "file" if name == "llama-swap" else "unknown"
            told = tries if expected == "unknown" else dict.fromkeys(tries, 1)
            samples = running.wait_for(
                lambda now: (
                    now.value(CRASHES, model="eyes") == 1
                    and now.value(FAILED, model="gone", **{"class": expected}) == told["gone"]
                )
            )
            assert samples.value(FAILED, model="broken", **{"class": expected}) == told["broken"]
            assert sum(samples.series(FAILED).values()) == sum(tries.values())
            assert sum(samples.series(CRASHES).values()) == 1
            swaps = "llama_swap_swaps_total"
            assert samples.value(swaps, model="eyes", outcome="ready") == 1
            assert samples.value(swaps, model="gone", outcome="failed") == tries["gone"]


def fail(client: Client, model: str, log: Path) -> int:
    """Ask a model whose load fails until llama-server logs why; return how often.

    It ends before it has written its last lines, about once in fifty times.
    """
    for tries in range(1, 6):
        told = log.read_text(errors="replace").count(_WHY)
        assert client.ask(model)[0] == 500
        if log.read_text(errors="replace").count(_WHY) > told:
            return tries
    raise AssertionError(f"llama-server never says why {model} is not loaded")


def test_a_load_without_memory_shows(tmp_path: Path) -> None:
    models = (EYES, HUGE)
    with served(models, tmp_path, "llama-swap") as front_end:
        limit = (512 << 20, 512 << 20)
        psutil.Process(front_end.pid).rlimit(psutil.RLIMIT_DATA, limit)
        with watched(front_end, models, tmp_path) as running:
            assert Client(url=front_end.url).ask("huge")[0] == 500
            samples = running.wait_for(lambda now: sum(now.series(FAILED).values()) == 1)
            assert samples.value(FAILED, model="huge", **{"class": "memory"}) == 1
            answers = "llama_swap_answers_total"
            running.wait_for(lambda now: now.value(answers, model="huge", status="500") == 1)


def test_a_load_that_takes_too_long_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shortest = partial(LlamaSwapSettings, health_check_timeout_s=15)
    monkeypatch.setattr(serve, "LlamaSwapSettings", shortest)
    models = (EYES,)
    with LateStart(tmp_path / "late") as late:
        late.delay_s = 30
        for variable, value in late.env.items():
            monkeypatch.setenv(variable, value)
        with served(models, tmp_path / "served", "llama-swap") as front_end:
            with watched(front_end, models, tmp_path) as running:
                status, seconds = Client(url=front_end.url).ask("eyes")
                assert status == 500
                samples = running.wait_for(lambda now: sum(now.series(FAILED).values()) == 1)
                assert samples.value(FAILED, model="eyes", **{"class": "timeout"}) == 1
                wait = "llama_swap_request_wait_seconds"
                samples = running.wait_for(
                    lambda now: now.value(f"{wait}_count", model="eyes", outcome="failed") == 1
                )
                waited_s = samples.value(f"{wait}_sum", model="eyes", outcome="failed")
                assert waited_s == pytest.approx(seconds, rel=0.05, abs=0.05)
                (swap,) = running.state()["swaps"]
                assert (swap["outcome"], swap["waited"]) == ("timeout", 1)


def test_a_client_that_leaves_a_load_got_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = (EYES,)
    with LateStart(tmp_path / "late") as late:
        late.delay_s = 2
        for variable, value in late.env.items():
            monkeypatch.setenv(variable, value)
        with served(models, tmp_path / "served", "llama-swap") as front_end:
            with watched(front_end, models, tmp_path) as running:
                assert Client(url=front_end.url).ask("eyes", timeout_s=0.5)[0] == 0
                answers = "llama_swap_answers_total"
                samples = running.wait_for(
                    lambda now: now.value(answers, model="eyes", status="aborted") == 1
                )
                # llama-swap notes status 200 for it.
                assert samples.value(answers, model="eyes", status="200") == 0
                assert running.state()["requests"]["last_ok"] is None


@pytest.mark.parametrize("name", get_args(FrontEndName))
def test_a_front_end_that_restarts_is_followed_again(name: FrontEndName, tmp_path: Path) -> None:
    models = (EYES, OTHER)
    store = store_of(models, tmp_path / "store")
    if name == "llama-swap" and shutil.which("llama-swap") is None:
        pytest.skip(NO_LLAMA_SWAP)

    def start(port: int | None) -> serve.Served:
        return serve.start(store, tmp_path, front_end=name, port=port, say=print)

    front_end = start(None)
    port = int(front_end.url.rpartition(":")[2])
    try:
        client = Client(url=front_end.url)
        with watched(front_end, models, tmp_path) as running:
            tokens = "llama_swap_tokens_total"
            assert client.ask("eyes")[0] == 200
            running.wait_for(lambda now: now.value(tokens, model="eyes", kind="generated") == 8)
            serve.stop(tmp_path)
            samples = running.wait_until_up(is_up=False)
            assert samples.value("llama_swap_endpoint_state", state="stopped") == 1
            assert samples.value("llama_swap_model_state", model="eyes", state="unknown") == 1
            start(port)
            samples = running.wait_until_up()
            assert samples.value("llama_swap_exporter_reconnects_total") == 1
            assert client.ask("another")[0] == 200
            samples = running.wait_for(
                lambda now: now.value(tokens, model="another", kind="generated") == 8
            )
            # The answers of the first process are not counted again.
            assert samples.value(tokens, model="eyes", kind="generated") == 8
            assert sum(samples.series(FAILED).values()) == 0
    finally:
        serve.stop(tmp_path)


@pytest.fixture
def card_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the card's memory in use, which an `nvidia-smi` on PATH reports."""
    folder = tmp_path / "bin"
    folder.mkdir()
    used = folder / "used"
    used.write_text("300")
    program = folder / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        "while kill -0 $PPID 2>/dev/null; do\n"
        f'  echo "0, Tesla T4, GPU-1, 40, 10, $(cat {used}), {T4_MIB}, 30, 60.0"\n'
        "  sleep 1\n"
        "done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return used


def test_a_full_card_shows_who_has_it(card_mib: Path, tmp_path: Path) -> None:
    models = (EYES,)
    with served(models, tmp_path / "served", "llama-swap") as front_end:
        plan = write_plan(tmp_path / "plan.json", plan_of(front_end, models))
        with exporter(plan, front_end.url) as running:
            used, others = "llama_swap_vram_used_bytes", "llama_swap_vram_others_bytes"
            samples = running.wait_for(lambda now: now.value(used) == 300 << 20)
            assert samples.value("llama_swap_vram_total_bytes") == T4_MIB << 20
            assert Client(url=front_end.url).ask("eyes")[0] == 200
            card_mib.write_text(str(T4_MIB - 60))
            held = T4_MIB - 60 - PREDICTED_MIB
            running.wait_for(lambda now: now.value(others) == held * 2**20)
            check_state(running, held)


def check_state(running: Running, others_mib: float) -> None:
    vram = running.state()["vram"]
    assert (vram["used_mib"], vram["total_mib"]) == (T4_MIB - 60, T4_MIB)
    assert vram["others_mib"] == others_mib
    assert 0 <= vram["age_s"] < 5
