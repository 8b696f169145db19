"""Plays the exporter's `/state`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class PlayedExporter:
    """Answers 404 until it is told what to say."""

    url: str
    said: dict[str, Any] | None = None

    def say(
        self,
        state: str,
        reason: str = "",
        *,
        tenant: str,
        has_card: bool = False,
        ready_in_s: float | None = None,
    ) -> None:
        self.said = {
            "version": 1,
            "endpoint": {"state": state, "reason": reason, "ready_in_s": ready_in_s},
            "window": {"open": False, "holder": None, "until": None},
            "tenants": [{"name": tenant, "kind": "Deployment", "has_card": has_card}],
        }


@contextmanager
def played_exporter() -> Iterator[PlayedExporter]:
    """Listen while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # The endpoint's key is none of the exporter's business.
            known = playing.said is not None and self.headers["authorization"] is None
            self.send_response(200 if known else 404)
            self.end_headers()
            if known:
                self.wfile.write(json.dumps(playing.said).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        playing = PlayedExporter(url=f"http://127.0.0.1:{server.server_port}/state")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield playing
        finally:
            server.shutdown()
            thread.join()
