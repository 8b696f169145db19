"""The log of the serving pod, through the API server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from llama_swap_config.front_ends import FRONT_ENDS
from ops.cluster.environment import KubeTarget
from ops.cluster.pod_log import serving_log
from ops.endpoint.device import of_log
from ops.errors import OpsError
from tests.declaration.settings import SETTINGS

PODS = "/api/v1/namespaces/llama-cpp/pods"
LOG = (
    "0.01.645.840 I srv          load: spawning server instance with args:\n"
    "[ 8100] 0.00.022.954 I srv    load_model: loading model '/models/a/model.gguf'\n"
    "[49065] 0.00.022.954 I srv    load_model: loading model '/models/b/model.gguf'\n"
    "[ 8100] 0.00.088.777 I load_tensors:        CUDA0 model buffer size =     0.45 MiB\n"
    "[49065] 0.00.088.777 I load_tensors:          CPU model buffer size =     0.45 MiB\n"
)


def pod(name: str, phase: str = "Running", **metadata: str) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "status": {"phase": phase}}


class ApiServer(ThreadingHTTPServer):
    pods: list[dict[str, Any]]
    status = 200


class Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, _, _ = self.path.partition("?")
        body, status = LOG, self.server.status
        if path == PODS:
            body, status = json.dumps({"items": self.server.pods}), 200
        elif self.path != f"{PODS}/new/log?container=llama-swap":
            body, status = "not found", 404
        elif status != 200:
            body = json.dumps({"message": "pods/log is forbidden"})
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer(("127.0.0.1", 0), Handler) as server:
        server.pods = [
            pod("old", deletionTimestamp="2026-11-29T12:00:00Z"),
            pod("failed", "Failed"),
            pod("new"),
        ]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(api: ApiServer, tmp_path: Path) -> KubeTarget:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.server_address[1]}"}}
        ],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return KubeTarget(config_path=path, context="here")


def test_the_log_is_that_of_the_running_pod(target: KubeTarget) -> None:
    assert serving_log(target, SETTINGS) == LOG


@pytest.mark.parametrize(("port", "expected"), [(8100, {"CUDA0"}), (49065, {"CPU"})])
def test_the_routers_log_tells_its_models_apart_by_port(port: int, expected: set[str]) -> None:
    log_of = FRONT_ENDS["llama-server"].log_of
    assert log_of is not None
    assert of_log(log_of(LOG, port)).names == frozenset(expected)
    assert of_log(log_of(LOG, 81)).names is None


def test_no_running_pod_is_an_error(api: ApiServer, target: KubeTarget) -> None:
    api.pods = api.pods[:2]
    with pytest.raises(OpsError, match="no serving pod runs"):
        serving_log(target, SETTINGS)


def test_a_refused_log_is_an_error_in_one_line(api: ApiServer, target: KubeTarget) -> None:
    api.status = 403
    with pytest.raises(OpsError) as caught:
        serving_log(target, SETTINGS)
    assert "(403: " in str(caught.value)
    assert "pods/log is forbidden" in str(caught.value)
    assert "\n" not in str(caught.value)
