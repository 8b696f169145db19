"""Serve metrics and state over HTTP."""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .contract import HEALTH_PATH, METRICS_PATH, STATE_PATH
from .gauges import gauges
from .picture import Camera
from .plan import Plan
from .series import Series, exposition
from .state import state_document

_MOST_CONNECTIONS = 16
_TIMEOUT_S = 5.0
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Answers from what is known; no request of a client causes one to the front end."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, host: str, port: int, *, camera: Camera, series: Series, plan: Plan
    ) -> None:
        """Listen.

        Args:
            host: Address to listen on.
            port: Its port.
            camera: Takes a picture for each answer.
            series: The counters.
            plan: The plan.
        """
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.camera, self.series, self.plan = camera, series, plan
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, or close it if too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; print any other error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def answer(self, path: str) -> tuple[int, str, str]:
        """Return status, media type and text of an answer."""
        path = path.partition("?")[0]
        if path == HEALTH_PATH:
            return 200, "text/plain", "OK\n"
        if path == STATE_PATH:
            document = state_document(self.camera.take())
            return 200, "application/json", json.dumps(document, indent=1) + "\n"
        if path == METRICS_PATH:
            picture = self.camera.take()
            return 200, _TEXT, exposition(self.series.families() | gauges(picture, self.plan))
        paths = ", ".join((METRICS_PATH, STATE_PATH, HEALTH_PATH))
        return 404, "text/plain", f"expected one of {paths}\n"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "llama-cpp-exporter"
    sys_version = ""

    def log_message(self, *_: object) -> None:
        """Log nothing: a scrape is not an event."""

    def do_GET(self) -> None:
        """Answer."""
        status, media_type, text = self.server.answer(self.path)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
