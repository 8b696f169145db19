"""The cluster of a kubeconfig's current context, which no command of a page may reach."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OtherCluster:
    """An address that counts who connects."""

    def __init__(self, port: int) -> None:
        self.server = f"https://127.0.0.1:{port}"
        self.connections = 0


@contextmanager
def other_cluster() -> Iterator[OtherCluster]:
    """Listen; end each connection at once."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            other.connections += 1

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        other = OtherCluster(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield other
        finally:
            server.shutdown()
            thread.join()
