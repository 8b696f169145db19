"""What bench-gateway counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks.gateway.clients import Outcome, Round, ask, chat
from benchmarks.gateway.doors import ALONE, GATEWAY, Caller, Door
from benchmarks.gateway.tables import goals


@contextmanager
def answering(status: int, headers: Mapping[str, str]) -> Iterator[int]:
    """Answer every request so; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        answer: ClassVar = (status, headers)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "answered", "refused", "errors"),
    [
        (200, {}, 1, 0, {}),
        (503, {"Retry-After": "42"}, 0, 1, {}),
        (429, {"Retry-After": "1"}, 0, 1, {}),
        (503, {}, 0, 0, {"503": 1}),
        (502, {"Retry-After": "1"}, 0, 0, {"502": 1}),
    ],
)
def test_a_refusal_says_when_to_ask_again_and_anything_else_is_an_error(
    status: int,
    headers: Mapping[str, str],
    answered: int,
    refused: int,
    errors: Mapping[str, int],
    tmp_path: Path,
) -> None:
    with answering(status, headers) as port:
        door = Door(name="door", port=port, callers=(Caller(key="k"),), log=tmp_path / "log")
        seen = Round(outcomes=(ask(door, "k", chat("tiny-a", None)),), swaps=0)
    assert (len(seen.waits_s), seen.refused, dict(seen.errors)) == (answered, refused, errors)


def test_a_connection_that_breaks_is_an_error(tmp_path: Path) -> None:
    with answering(200, {}) as port:
        pass
    door = Door(name="door", port=port, callers=(Caller(key="k"),), log=tmp_path / "log")
    seen = Round(outcomes=(ask(door, "k", chat("tiny-a", None)),), swaps=0)
    assert dict(seen.errors) == {"ConnectionRefusedError": 1}


def round_of(*, swaps: int = 1, wait_s: float = 1.0, failed: int = 0) -> Round:
    answered = Outcome(status="200", wait_s=wait_s)
    return Round(
        outcomes=(*[answered] * 10, *[Outcome(status="500", wait_s=0.1)] * failed), swaps=swaps
    )


@pytest.mark.parametrize(
    ("of_gateway", "gateway_s", "missed"),
    [
        (round_of(), 0.014, []),
        (round_of(swaps=2), 0.014, ["swaps"]),
        (round_of(failed=1), 0.014, ["errors"]),
        (round_of(wait_s=1.2), 0.014, ["p95 against LiteLLM alone"]),
        (round_of(), 0.016, ["added to a short text"]),
    ],
)
def test_each_goal_can_be_missed(of_gateway: Round, gateway_s: float, missed: list[str]) -> None:
    rounds = {GATEWAY: [of_gateway], ALONE: [round_of()], "llama-swap": [round_of()]}
    waits = {"short text": {GATEWAY: [gateway_s], ALONE: [0.01]}}
    lines = list(goals(rounds, waits))
    assert len(lines) == 4
    assert [line.split(":")[0] for line in lines if line.endswith("missed")] == missed
