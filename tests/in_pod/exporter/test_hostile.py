"""Front ends that are gone, slow, speak nonsense or too much: bounded, told, no crash."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import httpx2
import pytest

from in_pod.exporter import client
from in_pod.exporter.plan import Plan
from tests.fakes.llama_swap_server import FakeLlamaSwap, event, log, row, states, upsert
from tests.in_pod.exporter.running import exporter, write_plan

DROPPED = "llama_swap_exporter_dropped_total"
LIMIT_MIB = 64
"""The container's memory limit."""


@pytest.fixture
def plan_file(plan: Plan, tmp_path: Path) -> Path:
    return write_plan(tmp_path / "plan.json", plan)


def test_a_front_end_that_is_gone_is_a_state(plan_file: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with exporter(plan_file, url) as running:
        assert running.wait_until_tried().endswith("connection refused")
        samples = running.metrics()
        assert samples.value("llama_swap_endpoint_state", state="stopped") == 1
        assert samples.value("llama_swap_model_state", model="eyes", state="unknown") == 1


def test_a_slow_front_end_delays_no_scrape(front_end: FakeLlamaSwap, plan_file: Path) -> None:
    answers, gauges = threading.Event(), threading.Event()
    front_end.held = {"/api/metrics/activity": answers, "/metrics": gauges}
    with exporter(plan_file, front_end.url) as running:
        for _ in range(20):
            assert running.metrics().value("llama_swap_up") == 0
            running.state()
        answers.set()
        # Up, though the gauges never come.
        running.wait_until_up()
        front_end.send(states(eyes="starting"))
        running.wait_for(
            lambda now: now.value("llama_swap_model_state", model="eyes", state="starting") == 1
        )


def test_a_front_end_that_accepts_and_never_answers_is_not_up(
    plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        asking = client.Client.of(f"http://127.0.0.1:{mute.getsockname()[1]}", None)
        with pytest.raises(client.FrontEndError, match="GET /running: timed out"):
            asking.text("/running")


def test_an_answer_that_drips_is_given_up(
    front_end: FakeLlamaSwap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LONGEST_S", 0.5)
    is_over = threading.Event()

    def drip() -> None:
        # Each event is a chunk; none is late.
        while not is_over.wait(0.02):
            if front_end.followers:
                front_end.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        asking = client.Client.of(front_end.url, None)
        with pytest.raises(client.FrontEndError, match=r"takes more than 0\.5 s"):
            asking.text("/api/events")
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000,
        b"\x00\xff" * 50_000,
    ],
    ids=["nothing", "no http", "redirect", "short", "bad chunk", "headers", "bytes"],
)
def test_a_server_that_is_no_llama_swap_is_not_up(answer: bytes, plan_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1)
                    try:
                        connection.recv(4096)
                        connection.sendall(answer)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with exporter(plan_file, url) as running:
                reason = running.wait_until_tried()
                assert reason.startswith("GET /api/version: ")
                assert len(reason) < 300
                assert reason.isprintable()
        finally:
            is_over.set()
            thread.join()


NONSENSE = {
    "no JSON": b"data:nonsense\n\n",
    "another type": b"data:[1,2,3]\n\n",
    "no data": b'data:{"type":"modelStatus"}\n\n',
    "data of another type": b'data:{"type":"modelStatus","data":7}\n\n',
    "models of another type": event("modelStatus", {"id": "eyes", "state": "ready"}),
    "states of another type": event("modelStatus", [{"id": 7, "state": {}}, 5, None]),
    "an unknown state": states(eyes="exploded"),
    "an unknown model": states(nobody="ready"),
    "an unknown event": event("somethingNew", {"a": 1}),
    "a request of another type": event("inflight", {"operation": "upsert", "request": [1]}),
    "a huge number": (
        b'data:{"type":"inflight","data":"{\\"operation\\":\\"upsert\\",'
        b'\\"request\\":{\\"id\\":\\"1\\",\\"elapsed_ms\\":1e999}}"}\n\n'
    ),
    "deep": b"data:" + b"[" * 200_000 + b"\n\n",
    "not UTF-8": b'data:{"type":"modelStatus","data":"\xff\xfe"}\n\n',
    "a lone surrogate": b'data:{"type":"modelStatus","data":"[{\\"id\\":\\"\\\\ud800\\"}]"}\n\n',
    "a log without a source": event("logData", {"data": " failed: "}),
    "many digits": b"data:" + b"9" * 100_000 + b"\n\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_dropped_and_the_rest_is_followed(
    name: str, front_end: FakeLlamaSwap, plan_file: Path
) -> None:
    with exporter(plan_file, front_end.url) as running:
        running.wait_until_up()
        front_end.send(NONSENSE[name], states(eyes="starting"), states(eyes="ready"))
        running.wait_for(
            lambda now: now.value("llama_swap_model_state", model="eyes", state="ready") == 1
        )
        samples = running.metrics()
        assert samples.value("llama_swap_up") == 1
        assert samples.value("llama_swap_exporter_reconnects_total") == 0
        models = {dict(labels)["model"] for labels in samples.series("llama_swap_model_state")}
        assert models == {"eyes", "another"}


ROWS = {
    "no JSON": b"nonsense",
    "a list": b"[]",
    "rows of another type": b'{"data":[1,null,{"id":"x"},{"no":"id"}]}',
    "numbers of another type": json.dumps(
        {"data": [row(1, "eyes") | {"duration_ms": "long", "tokens": 7, "resp_status_code": None}]}
    ).encode(),
    "deep": b"[" * 200_000,
}


@pytest.mark.parametrize("name", ROWS)
def test_nonsense_instead_of_answers_is_survived(
    name: str, front_end: FakeLlamaSwap, plan_file: Path
) -> None:
    with exporter(plan_file, front_end.url) as running:
        running.wait_until_up()
        front_end.answers["/api/metrics/activity"] = ROWS[name]
        front_end.answers["/metrics"] = ROWS[name]
        front_end.send(event("activity", {"id": 1}))
        asked = len(front_end.asked)
        running.wait_for(lambda _: len(front_end.asked) > asked + 4)
        del front_end.answers["/api/metrics/activity"]
        front_end.rows = [row(2, "eyes")]
        front_end.send(event("activity", {"id": 2}))
        running.wait_for(
            lambda now: now.value("llama_swap_answers_total", model="eyes", status="200") == 1
        )


HOSTILE_NAMES = ("", "other", 'a"}\n# TYPE x', "é" * 10_000, "../../etc/passwd", "{{7*7}}", "\x00")


def test_hostile_names_become_no_labels(front_end: FakeLlamaSwap, plan_file: Path) -> None:
    with exporter(plan_file, front_end.url) as running:
        running.wait_until_up()
        front_end.rows = [
            row(number, name, status=number) for number, name in enumerate(HOSTILE_NAMES, start=1)
        ]
        front_end.rows += [row(100 + number, f"model-{number}") for number in range(800)]
        front_end.send(
            *(upsert(str(number), name) for number, name in enumerate(HOSTILE_NAMES)),
            *(event("modelStatus", [{"id": name, "state": name}]) for name in HOSTILE_NAMES),
            *(
                log("proxy", f"[WARN] group: starting {name} failed: x\n")
                for name in HOSTILE_NAMES
            ),
            *(
                log("proxy", f"[WARN] <{name}> upstream process exited unexpectedly\n")
                for name in "xyz"
            ),
            *(event("activity", {"id": number}) for number in range(900)),
        )
        samples = running.wait_for(
            lambda now: (
                (now.value("llama_swap_answers_total", model="other", status="200") or 0) >= 800
            )
        )
        for name in samples.by_name:
            for labels in samples.series(name):
                assert dict(labels).get("model", "eyes") in ("eyes", "another", "other"), labels
        assert sum(len(family) for family in samples.by_name.values()) < 600
        assert samples.value("llama_swap_crashes_total", model="other") == 3


def test_too_much_stays_below_the_memory_limit(front_end: FakeLlamaSwap, plan_file: Path) -> None:
    with exporter(plan_file, front_end.url, limit_mib=LIMIT_MIB) as running:
        running.wait_until_up()
        mib = b"x" * (1 << 20)
        front_end.send(states(eyes="starting"), b'data:{"type":"logData","data":"')
        for _ in range(100):
            front_end.send(mib)
        front_end.send(b'"}\n\n')
        running.wait_for(lambda now: now.value(DROPPED, what="event") == 1, timeout_s=60)
        # Events just below the limit, logs without an end, requests without an end.
        front_end.send(*(log("upstream", "y" * 900_000) for _ in range(30)))
        front_end.send(*(upsert(f"request-{number}", "eyes") for number in range(5000)))
        front_end.send(event("modelStatus", [{"id": "n" * 50, "state": "s"}] * 8000))
        front_end.answers["/metrics"] = mib * 3
        front_end.answers["/api/metrics/activity"] = b'{"data":[' + b'{"id":1},' * 300_000
        front_end.send(event("activity", {"id": 1}), states(eyes="ready"))
        running.wait_for(lambda now: now.value(DROPPED, what="request") == 3000, timeout_s=60)
        running.wait_for(
            lambda now: now.value("llama_swap_model_state", model="eyes", state="ready") == 1,
            timeout_s=60,
        )
        for _ in range(20):
            running.metrics()
            running.state()
        assert running.metrics().value("llama_swap_up") == 1
        assert running.most_memory_mib < LIMIT_MIB


def test_many_clients_that_never_ask_keep_nobody_out(
    front_end: FakeLlamaSwap, plan_file: Path
) -> None:
    with exporter(plan_file, front_end.url) as running:
        running.wait_until_up()
        port = int(running.url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    running.metrics()
                    break
                except (httpx2.TransportError, AssertionError):
                    # Their time is limited, and then the next ones are served.
                    assert time.monotonic() < deadline
                    time.sleep(0.5)
        finally:
            for connection in idle:
                connection.close()


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"",
    ],
    ids=["another path", "POST", "no http", "long", "version", "nothing"],
)
def test_a_hostile_scraper_is_refused(
    request_text: bytes, front_end: FakeLlamaSwap, plan_file: Path
) -> None:
    with exporter(plan_file, front_end.url) as running:
        running.wait_until_up()
        port = int(running.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(request_text)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        assert answer[:13] not in (b"HTTP/1.1 200 ",)
        assert b"Traceback" not in answer
        running.metrics()
