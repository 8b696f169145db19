"""A program for a test: many threads read a kubeconfig or apply an object for the first time.

msgspec's own Python code is slowed down, so that threads meet within the first decode of a type.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.server_side_apply import Cluster

_THREADS = 24
_APART_S = 0.005
_PAUSE_S = 0.02
_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "a"},
    "spec": {"containers": []},
    "status": {"phase": "Pending"},
}


class _ApiServer(BaseHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        content = json.dumps(_POD).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(what: str, folder: Path) -> None:
    """Start the threads one after another, and end when all have their answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ApiServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = folder / "kubeconfig"
    address = f"http://127.0.0.1:{server.server_address[1]}"
    document = {
        "clusters": [{"name": "a", "cluster": {"server": address}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
    }
    path.write_text(json.dumps(document))
    target = KubeTarget(config_path=path, context="a")
    if what == "objects":
        KubeApi(target)  # The kubeconfig's types are known from here on.
    question: Callable[[], object] = {
        "kubeconfig": lambda: KubeApi(target),
        "objects": lambda: Cluster(target).apply([_POD]),
    }[what]
    answers: list[object] = []
    threading.setprofile(_pause)
    threads = [
        threading.Thread(target=lambda: answers.append(question())) for _ in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
        time.sleep(_APART_S)
    for thread in threads:
        thread.join()
    assert len(answers) == _THREADS


def _pause(frame: FrameType, event: str, _argument: object) -> None:
    # msgspec calls this function for each type that it meets on its way.
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
