"""The API server's client: its certificate authority, no proxy, no redirect, its time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from in_pod.kubernetes.in_cluster import InClusterApi
from tests.fakes.authority import Authority


class ApiServer(ThreadingHTTPServer):
    """Answers every request, and remembers the paths and tokens."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str]] = []
        self.date = "Tue, 18 May 2033 03:33:20 GMT"
        self.location = ""


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        text = json.dumps({"kind": "Lease"}).encode()
        self.send_response_only(302 if self.server.location else 200)
        for name, value in (("Date", self.server.date), ("Location", self.server.location)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    authority = Authority(tmp_path)
    (tmp_path / "token").write_text("a-token\n")
    with ApiServer() as server:
        context = authority.server_context("127.0.0.1")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> InClusterApi:
    return InClusterApi(
        service_account_dir=tmp_path, url=f"https://127.0.0.1:{server.server_port}"
    )


def test_the_api_server_is_never_asked_through_a_proxy(
    server: ApiServer, api: InClusterApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    assert api.request("GET", "/a") == (200, {"kind": "Lease"})
    assert server.seen == [("/a", "Bearer a-token")]


def test_the_token_does_not_follow_a_redirect(server: ApiServer, api: InClusterApi) -> None:
    server.location = "/b"
    assert api.request("GET", "/a")[0] == 302
    assert server.seen == [("/a", "Bearer a-token")]


def test_the_api_servers_time_is_used(server: ApiServer, api: InClusterApi) -> None:
    api.request("GET", "/a")
    assert 0 <= api.now() - 2_000_000_000 < 60


@pytest.mark.parametrize(
    "date", ["", "soon", "\u00b2", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 99]
)
def test_a_date_that_says_nothing_is_ignored(
    date: str, server: ApiServer, api: InClusterApi
) -> None:
    server.date = date
    assert api.request("GET", "/a")[0] == 200
    assert abs(api.now() - time.time()) < 60
