"""A proxy in front of an API server that counts writes, and acts at one of them."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_NOT_PASSED_ON = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class WriteProxy:
    """Forwards every request; the acting is armed for one write."""

    def __init__(self, server: str, token: str) -> None:
        address = urlsplit(server)
        self.host, self.port = address.hostname or "", address.port or 443
        self.context = ssl._create_unverified_context()
        # Kubernetes clients send no token where they have no TLS.
        self.headers = {"Authorization": f"Bearer {token}"}
        self.writes = 0
        """Since it was armed last."""
        self._lock = threading.Lock()
        self._at, self._after = 0, False
        self._act: Callable[[], bool] = lambda: True
        self._connections: list[http.client.HTTPConnection] = []

    def arm(self, at: int, act: Callable[[], bool], *, after: bool) -> None:
        """Act at a write, counted from 1.

        Args:
            at: The write; 0: only count.
            act: Called once; returns whether the client still gets its answer.
            after: Whether once the API server has answered; otherwise before it is asked.
        """
        with self._lock:
            self.writes, self._at, self._act, self._after = 0, at, act, after

    def forward(self, method: str, request: Callable[[], Any]) -> Any:
        """Make a request; return its answer, or None if the client gets none."""
        if method == "GET":
            return request()
        with self._lock:
            self.writes += 1
            is_now = self.writes == self._at
        if is_now and not self._after and not self._act():
            return None
        answer = request()
        if is_now and self._after and not self._act():
            return None
        return answer


@contextmanager
def write_proxy(kubeconfig: Path, written: Path) -> Iterator[WriteProxy]:
    """Run a proxy in front of the server of a kubeconfig.

    Args:
        kubeconfig: Of one cluster and one account with a token.
        written: Takes the same kubeconfig with the proxy as its server.
    """
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    proxy = WriteProxy(cluster["server"], config["users"][0]["user"]["token"])
    server = _Server(proxy)
    config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{server.server_port}"}
    written.write_text(yaml.safe_dump(config))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: WriteProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is not an error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        proxy = self.server.proxy
        self.upstream = http.client.HTTPSConnection(proxy.host, proxy.port, context=proxy.context)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing."""

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        }

        def request() -> tuple[http.client.HTTPResponse, bytes]:
            self.upstream.request(
                self.command, self.path, body or None, headers | self.server.proxy.headers
            )
            answer = self.upstream.getresponse()
            return answer, answer.read()

        forwarded = self.server.proxy.forward(self.command, request)
        if forwarded is None:
            self.close_connection = True
            return
        answer, content = forwarded
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_PASSED_ON | {"date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815
