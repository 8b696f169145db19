"""As much of llama-swap as the exporter asks, and every way in which it may misbehave."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


def event(kind: str, data: Any) -> bytes:
    """One event as llama-swap v250 sends it: JSON in JSON."""
    text = json.dumps({"type": kind, "data": json.dumps(data)}, separators=(",", ":"))
    return f"event:message\ndata:{text}\n\n".encode()


def states(**by_model: str) -> bytes:
    return event("modelStatus", [{"id": name, "state": state} for name, state in by_model.items()])


def log(source: str, text: str) -> bytes:
    return event("logData", {"source": source, "data": text})


def upsert(id: str, model: str, *, answers: bool = False, elapsed_ms: int = 0) -> bytes:
    request = {
        "id": id,
        "model": model,
        "req_path": "/v1/chat/completions",
        "elapsed_ms": elapsed_ms,
        "resp_headers": {"Content-Type": "application/json"} if answers else {},
    }
    return event("inflight", {"operation": "upsert", "request": request})


def remove(id: str) -> bytes:
    return event("inflight", {"operation": "remove", "id": id})


def row(id: int, model: str, *, status: int = 200, seconds: float = 0.1, **more: Any) -> Json:
    """A row of the activity, as llama-swap v250 sends it."""
    return {
        "id": id,
        "timestamp": "2026-11-30T09:47:35Z",
        "model": model,
        "req_path": "/v1/chat/completions",
        "resp_content_type": "application/json",
        "resp_status_code": status,
        "tokens": {
            "cache_tokens": 2,
            "input_tokens": 21,
            "output_tokens": 8,
            "prompt_per_second": 900.0,
            "tokens_per_second": 33.0,
        },
        "duration_ms": int(seconds * 1000),
    } | more


START = (
    log("proxy", "[WARN] group: starting eyes failed: health check timed out after 15s\n"),
    log("upstream", "cudaMalloc failed: out of memory\n"),
    event("uiConfig", {}),
    event("profileChanged", {"active": None}),
)
"""The first events; the stored logs tell of what happened before anybody looked."""


class FakeLlamaSwap(ThreadingHTTPServer):
    """Answers, and remembers every path that it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models = {"eyes": "stopped", "another": "stopped"}
        self.rows: list[Json] = []
        self.asked: list[str] = []
        self.key = ""
        self.gauges = ""
        self.answers: dict[str, bytes] = {}
        """Path -> the body that replaces its answer."""
        self.held: dict[str, threading.Event] = {}
        """Path -> what its answer waits for."""
        self._streams: list[queue.Queue[bytes | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Ignore an exporter that ended."""

    @property
    def followers(self) -> int:
        return len(self._streams)

    def send(self, *chunks: bytes) -> None:
        """Send chunks to whoever follows the events."""
        assert self._streams
        for stream in self._streams:
            for chunk in chunks:
                stream.put(chunk)

    def hang_up(self) -> None:
        """End the events, as a restart does."""
        for stream in self._streams:
            stream.put(None)

    def opened(self) -> queue.Queue[bytes | None]:
        stream: queue.Queue[bytes | None] = queue.Queue()
        self._streams.append(stream)
        return stream

    def closed(self, stream: queue.Queue[bytes | None]) -> None:
        self._streams.remove(stream)


class _Handler(BaseHTTPRequestHandler):
    server: FakeLlamaSwap
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(self.path)
        if path in self.server.held:
            self.server.held[path].wait()
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            self._answer(401, b"{}")
        elif path in self.server.answers:
            self._answer(200, self.server.answers[path])
        elif path == "/api/events":
            self._events()
        elif path == "/api/version":
            self._answer(200, b'{"version":"v250","commit":"60226b63"}')
        elif path == "/api/metrics/activity":
            rows = sorted(self.server.rows, key=lambda each: -each["id"])
            self._answer(200, json.dumps({"data": rows[:999]}).encode())
        elif path == "/metrics":
            self._answer(200, self.server.gauges.encode())
        else:
            self._answer(404, b"404 page not found")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        stream = self.server.opened()
        try:
            snapshot = event("inflight", {"operation": "snapshot"})
            for first in (*START, states(**self.server.models), snapshot):
                self._chunk(first)
            while (chunk := stream.get()) is not None:
                self._chunk(chunk)
        except OSError:
            pass
        finally:
            self.server.closed(stream)
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.wfile.flush()


@contextmanager
def fake_llama_swap() -> Iterator[FakeLlamaSwap]:
    """Run one until the context ends."""
    with FakeLlamaSwap() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            for event_ in server.held.values():
                event_.set()
            server.hang_up()
            server.shutdown()
