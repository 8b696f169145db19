"""An HTTP proxy whose tunnels all lead to one server, whatever host is asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class TunnelProxy(ThreadingHTTPServer):
    """Runs while its context lasts, and remembers the requests for tunnels."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        """Lead to this port of the loopback."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = port
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: TunnelProxy

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.server.requests.append({"host": self.path, **dict(self.headers.items())})
        with socket.create_connection(("127.0.0.1", self.server.port)) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_relay, args=(far, self.connection), daemon=True)
            back.start()
            _relay(self.connection, far)
            back.join()
        self.close_connection = True


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
