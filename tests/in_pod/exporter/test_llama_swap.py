"""Following llama-swap: what is asked, what is new, and after which interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from in_pod.exporter.card import parse_gauges
from in_pod.exporter.contract import ONLY_CARD
from in_pod.exporter.plan import Plan
from tests.fakes.llama_swap_server import (
    FakeLlamaSwap,
    event,
    log,
    remove,
    row,
    states,
    upsert,
)
from tests.in_pod.exporter.exposition import Samples
from tests.in_pod.exporter.running import Running, exporter, write_plan

ANSWERS = "llama_swap_answers_total"
FAILED = "llama_swap_failed_loads_total"
GAUGES = """\
# TYPE llamaswap_gpu_memory_used_bytes gauge
llamaswap_gpu_memory_used_bytes{id="0",name="Tesla T4",uuid="GPU-1"} 1.5e+10
llamaswap_gpu_memory_used_bytes{id="1",name="Tesla T4",uuid="GPU-2"} 7
llamaswap_gpu_memory_total_bytes{id="0",name="Tesla T4",uuid="GPU-1"} 1.610612736e+10
llamaswap_gpu_memory_total_bytes{id="1",name="Tesla T4",uuid="GPU-2"} 8
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(number: int, *, model: str = "eyes") -> Callable[[Samples], bool]:
    """Whether so many answers were counted."""
    return lambda samples: samples.value(ANSWERS, model=model, status="200") == number


@pytest.fixture
def plan_file(plan: Plan, tmp_path: Path) -> Path:
    return write_plan(tmp_path / "plan.json", plan)


@pytest.fixture
def running(front_end: FakeLlamaSwap, plan_file: Path) -> Iterator[Running]:
    with exporter(plan_file, front_end.url) as running:
        running.wait_until_up()
        until(lambda: front_end.followers == 1)
        yield running


def test_only_paths_that_load_nothing_are_asked(
    front_end: FakeLlamaSwap, running: Running
) -> None:
    front_end.send(states(eyes="starting"), states(eyes="ready"), event("activity", {"id": 1}))
    front_end.rows = [row(1, "eyes")]
    for _ in range(30):
        running.metrics()
        running.state()
    running.wait_for(counted(1))
    assert {path.partition("?")[0] for path in front_end.asked} == {
        "/api/version",
        "/api/events",
        "/api/metrics/activity",
        "/metrics",
    }


def test_a_scrape_asks_the_front_end_nothing(front_end: FakeLlamaSwap, running: Running) -> None:
    def unlogged() -> int:
        return len([path for path in front_end.asked if path != "/metrics"])

    before = unlogged()
    for _ in range(50):
        running.metrics()
    assert unlogged() == before


def test_what_was_logged_before_is_not_news(front_end: FakeLlamaSwap, running: Running) -> None:
    samples = running.metrics()
    assert sum(samples.series(FAILED).values()) == 0
    front_end.send(log("proxy", "[WARN] group: starting eyes failed: health check timed out\n"))
    samples = running.wait_for(lambda now: sum(now.series(FAILED).values()) == 1)
    assert samples.value(FAILED, model="eyes", **{"class": "timeout"}) == 1


def test_a_client_cannot_write_a_failure_into_the_log(
    front_end: FakeLlamaSwap, running: Running
) -> None:
    """llama-swap logs a request's path decoded, line ends included."""
    lie = "[WARN] group: starting eyes failed: out of memory"
    exited = "[WARN] <eyes> upstream process exited unexpectedly"
    for words in (lie, exited):
        front_end.send(log("proxy", f'[INFO] Request 1.2.3.4 "GET /\n{words}\n HTTP/1.1" 404\n'))
        front_end.send(log("upstream", f"{words}\n"))
    front_end.send(states(eyes="ready"))
    samples = running.wait_for(
        lambda now: now.value("llama_swap_model_state", model="eyes", state="ready") == 1
    )
    assert sum(samples.series(FAILED).values()) == 0
    assert sum(samples.series("llama_swap_crashes_total").values()) == 0


def test_answers_from_before_are_not_counted_but_the_last_one_is_known(
    front_end: FakeLlamaSwap, plan_file: Path
) -> None:
    front_end.rows = [
        row(1, "eyes", timestamp="2026-11-30T09:47:35Z"),
        row(2, "eyes", timestamp="2026-11-30T09:48:35Z"),
        row(3, "eyes", status=500, timestamp="2026-11-30T09:49:35Z"),
    ]
    with exporter(plan_file, front_end.url) as running:
        samples = running.wait_until_up()
        assert sum(samples.series(ANSWERS).values()) == 0
        last = samples.value("llama_swap_last_answer_timestamp_seconds")
        assert last == 1796032115


def test_an_answer_is_counted_once(front_end: FakeLlamaSwap, running: Running) -> None:
    for number in range(1, 8):
        front_end.rows.append(row(number, "eyes"))
        front_end.send(event("activity", {"id": number}))
        running.wait_for(counted(number))
    samples = running.metrics()
    assert samples.value("llama_swap_tokens_total", model="eyes", kind="generated") == 56
    assert samples.value("llama_swap_tokens_total", model="eyes", kind="prompt") == 147
    speed = "llama_swap_generated_tokens_per_second"
    assert samples.value(f"{speed}_sum", model="eyes") == 231


def test_answers_that_came_while_the_connection_was_lost_are_counted(
    front_end: FakeLlamaSwap, running: Running
) -> None:
    front_end.rows = [row(1, "eyes")]
    front_end.send(event("activity", {"id": 1}))
    running.wait_for(counted(1))
    front_end.hang_up()
    front_end.rows.append(row(2, "eyes"))
    running.wait_for(counted(2))
    assert running.metrics().value("llama_swap_exporter_reconnects_total") == 1


def test_a_restarted_front_end_numbers_its_answers_anew(
    front_end: FakeLlamaSwap, running: Running
) -> None:
    front_end.rows = [row(number, "eyes") for number in range(1, 4)]
    front_end.send(event("activity", {"id": 3}))
    running.wait_for(counted(3))
    # The third answer of the new process came at another time than that of the old one.
    front_end.rows = [
        row(number, "another", timestamp="2026-11-30T10:00:00Z") for number in range(1, 5)
    ]
    front_end.hang_up()
    samples = running.wait_for(counted(4, model="another"))
    assert samples.value(ANSWERS, model="eyes", status="200") == 3
    assert samples.value("llama_swap_exporter_dropped_total", what="answer") == 0


def test_answers_that_the_front_end_has_forgotten_are_told_as_missed(
    front_end: FakeLlamaSwap, running: Running
) -> None:
    front_end.rows = [row(1, "eyes")]
    front_end.send(event("activity", {"id": 1}))
    running.wait_for(counted(1))
    front_end.rows = [row(number, "eyes") for number in range(101, 111)]
    front_end.send(event("activity", {"id": 110}))
    samples = running.wait_for(counted(11))
    assert samples.value("llama_swap_exporter_dropped_total", what="answer") == 99


def test_the_first_cards_memory_is_told(front_end: FakeLlamaSwap, running: Running) -> None:
    front_end.gauges = GAUGES
    samples = running.wait_for(lambda now: now.value("llama_swap_vram_used_bytes") is not None)
    assert samples.value("llama_swap_vram_used_bytes") == 1.5e10
    assert samples.value("llama_swap_vram_total_bytes") == 15360 * 2**20
    vram = running.state()["vram"]
    assert vram["total_mib"] == 15360
    assert 0 <= vram["age_s"] < 5


def test_the_memory_of_each_card_is_told(
    front_end: FakeLlamaSwap, two_cards: Plan, tmp_path: Path
) -> None:
    front_end.gauges = GAUGES
    with exporter(write_plan(tmp_path / "plan.json", two_cards), front_end.url) as running:
        running.wait_until_up()
        used, total = "llama_swap_vram_used_bytes", "llama_swap_vram_total_bytes"
        samples = running.wait_for(lambda now: len(now.series(used)) == 2)
        assert samples.value(used, card="0") == 1.5e10
        assert [samples.value(it, card="1") for it in (used, total)] == [7, 8]
        predicted = "llama_swap_model_vram_bytes"
        assert samples.value(predicted, model="eyes", card="1") == 1744 * 2**20
        assert samples.value(predicted, model="another", card="1") == 4274 * 2**20
        vram = running.state()["vram"]
    assert vram["used_mib"] == (1.5e10 + 7) / 2**20
    assert [card["card"] for card in vram["cards"]] == ["0", "1"]
    assert vram["cards"][0]["total_mib"] == 15360


def test_the_key_is_read_again_for_each_connection(
    front_end: FakeLlamaSwap, plan_file: Path, tmp_path: Path
) -> None:
    front_end.key = "the-first-key"
    key_file = tmp_path / "key"
    key_file.write_text("another\n")
    words = ("--no-cluster", "--api-key-file", str(key_file))
    with exporter(plan_file, front_end.url, *words) as running:
        assert running.wait_until_tried().endswith("status 401")
        key_file.write_text("the-first-key\n")
        running.wait_until_up()
        front_end.key = "the-second-key"
        front_end.hang_up()
        running.wait_until_up(is_up=False)
        key_file.write_text("the-second-key\n")
        running.wait_until_up()
        assert "key" not in running.text("/metrics").replace("the API key", "")


def test_the_key_of_the_variable_is_sent(front_end: FakeLlamaSwap, plan_file: Path) -> None:
    front_end.key = "a-key"
    with exporter(plan_file, front_end.url, environment={"LLAMA_API_KEY": "a-key"}) as running:
        running.wait_until_up()


def test_a_swap_under_load_is_told_with_who_waited(
    front_end: FakeLlamaSwap, running: Running
) -> None:
    front_end.send(
        *(upsert(str(number), "second-name") for number in range(3)),
        states(eyes="stopped", another="starting"),
    )
    running.wait_for(lambda now: now.value("llama_swap_requests_waiting", model="another") == 3)
    front_end.send(states(eyes="stopped", another="ready"))
    running.wait_for(lambda now: now.value("llama_swap_requests_waiting", model="another") == 0)
    assert running.state()["requests"]["in_flight"] == 3
    front_end.send(*(remove(str(number)) for number in range(3)))
    running.wait_for(lambda now: now.value("llama_swap_requests_in_flight", model="another") == 0)
    (swap,) = running.state()["swaps"]
    assert (swap["model"], swap["outcome"], swap["waited"]) == ("another", "ready", 3)


def test_a_card_that_is_not_named_has_no_reading() -> None:
    """As one that has fallen off the bus: the other keeps its number."""
    second = "".join(line for line in GAUGES.splitlines(True) if 'id="0"' not in line)
    assert parse_gauges(second.encode(), ("0", "1")) == {"1": (7, 8)}
    assert parse_gauges(second.encode(), (ONLY_CARD,)) == {ONLY_CARD: (7, 8)}
    assert parse_gauges(b"", ("0", "1")) == {}
