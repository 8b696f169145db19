"""A web server with pictures, and with redirects to them and to elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from ops.endpoint.pictures import solid_picture

RED = solid_picture("red")
_FILES = {"/red.png": RED, "/words.txt": b"no picture"}


class _Handler(BaseHTTPRequestHandler):
    """Has `/red.png` and `/words.txt`; redirects `/moved.png`, and `/to/URL` with URL quoted."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = _FILES.get(path, b"")
        if path == "/moved.png":
            self._redirect(f"/red.png?{query}")
        elif path.startswith("/to/"):
            self._redirect(unquote(path.removeprefix("/to/")))
        else:
            self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def web_pictures() -> Iterator[str]:
    """Serve the pictures, and yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
