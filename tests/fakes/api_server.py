"""An API server that gives the answers of a test, and a kubeconfig for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from ops.cluster.environment import KubeTarget

Answers = Mapping[str, tuple[int, Any]]
"""Path -> status and document, or text that is not JSON; 404 for any other path."""


def kubeconfig(folder: Path, server: str) -> Path:
    """Write a kubeconfig for a server, with the context `home`."""
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "home", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "x"}}],
        "contexts": [{"name": "home", "context": {"cluster": "home", "user": "me"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def api_server(folder: Path, answers: Answers) -> Iterator[KubeTarget]:
    """Serve the answers until the end of the context."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answers.get(self.path, (404, {"message": "not found"}))
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            path = kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
            yield KubeTarget(config_path=path, context="home")
        finally:
            server.shutdown()
            thread.join()
