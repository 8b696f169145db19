"""The download program against a real local server that misbehaves in the ways that hubs do."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from in_pod import download
from in_pod.download import DownloadError, File, Hub, Link, Plan

MODEL = bytes(range(256)) * 4096
MMPROJ = b"projector" * 10_000


class Server(ThreadingHTTPServer):
    """What it serves, how it misbehaves, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"model.gguf": MODEL, "mmproj.gguf": MMPROJ}
        self.status: int | None = None
        self.redirect_to: str | None = None
        self.cut_after: int | None = None
        self.flips = 0
        self.ranges = True
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_arguments: Any) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        server = self.server
        server.requests.append({"path": self.path} | dict(self.headers.items()))
        if server.redirect_to:
            self.send_response(302)
            self.send_header("Location", f"{server.redirect_to}{self.path}?signature=s")
            self.end_headers()
            return
        if server.status:
            self.send_error(server.status)
            return
        content = server.files[self.path.split("?")[0].rsplit("/", 1)[1]]
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        size = len(content)
        if server.ranges:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
            start = 0
        body = bytearray(content[start:])
        if server.flips and body:
            server.flips -= 1
            body[len(body) // 2] ^= 1
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after])
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    yield from serving()


@pytest.fixture
def cdn() -> Iterator[Server]:
    yield from serving()


def serving() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def file(name: str, content: bytes) -> File:
    return File(
        repository="owner/name",
        revision="main",
        name=name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


PLAN = Plan(
    files=(file("model.gguf", MODEL), file("mmproj.gguf", MMPROJ)),
    models={
        "m": (
            Link(path="m/model.gguf", sha256=hashlib.sha256(MODEL).hexdigest()),
            Link(path="m/mmproj.gguf", sha256=hashlib.sha256(MMPROJ).hexdigest()),
        )
    },
)


def run(server: Server, models: Path, plan: Plan = PLAN, token: str | None = None) -> None:
    download.run(plan, models, Hub(server.url, token), sleep=lambda _seconds: None)


def fails(server: Server, models: Path, plan: Plan = PLAN) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        run(server, models, plan)
    assert "\n" not in str(caught.value)
    return caught.value


def published(models: Path) -> list[str]:
    return sorted(str(path.relative_to(models)) for path in models.glob("m/*"))


def test_both_files_are_published_by_relative_links(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path)
    assert (tmp_path / "m" / "model.gguf").read_bytes() == MODEL
    assert (tmp_path / "m" / "mmproj.gguf").read_bytes() == MMPROJ
    link = (tmp_path / "m" / "model.gguf").readlink()
    assert str(link) == f"../blobs/{hashlib.sha256(MODEL).hexdigest()}"
    assert [each["path"] for each in server.requests] == [
        "/owner/name/resolve/main/model.gguf",
        "/owner/name/resolve/main/mmproj.gguf",
    ]


def test_a_second_run_asks_for_nothing(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path)
    server.requests.clear()
    run(server, tmp_path)
    assert server.requests == []


def test_a_connection_that_is_cut_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.cut_after = 400_000
    run(server, tmp_path)
    ranges = [each["Range"] for each in server.requests if "model.gguf" in each["path"]]
    assert ranges[:3] == ["bytes=0-", "bytes=400000-", "bytes=800000-"]
    assert (tmp_path / "m" / "model.gguf").read_bytes() == MODEL


def test_a_killed_run_goes_on_with_what_is_on_disk(server: Server, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / f"{PLAN.files[0].sha256}.partial").write_bytes(MODEL[:1000])
    run(server, tmp_path)
    assert server.requests[0]["Range"] == "bytes=1000-"
    assert (tmp_path / "m" / "model.gguf").read_bytes() == MODEL


def test_wrong_bytes_on_disk_are_found_and_brought_anew(server: Server, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / f"{PLAN.files[0].sha256}.partial").write_bytes(b"x" * 1000)
    run(server, tmp_path)
    assert (tmp_path / "m" / "model.gguf").read_bytes() == MODEL


def test_a_server_that_knows_no_ranges(server: Server, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / f"{PLAN.files[0].sha256}.partial").write_bytes(MODEL[:1000])
    server.ranges = False
    run(server, tmp_path)
    assert (tmp_path / "m" / "model.gguf").read_bytes() == MODEL


def test_one_wrong_byte_is_brought_anew(server: Server, tmp_path: Path) -> None:
    server.flips = 1
    run(server, tmp_path)
    assert (tmp_path / "m" / "model.gguf").read_bytes() == MODEL


def test_a_wrong_byte_twice_publishes_nothing(server: Server, tmp_path: Path) -> None:
    server.flips = 100
    assert fails(server, tmp_path).code == download.WRONG_BYTES
    assert published(tmp_path) == []
    assert not (tmp_path / "blobs" / PLAN.files[0].sha256).exists()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, download.NO_ACCESS),
        (403, download.NO_ACCESS),
        (404, download.BAD_PLAN),
        (429, download.TRANSIENT),
        (500, download.TRANSIENT),
        (503, download.TRANSIENT),
    ],
)
def test_a_refusal_says_whether_a_retry_can_help(
    server: Server, tmp_path: Path, status: int, code: int
) -> None:
    server.status = status
    assert fails(server, tmp_path).code == code
    assert len(server.requests) == (download.ATTEMPTS if code == download.TRANSIENT else 1)


def test_a_403_of_the_second_host_is_an_expired_address(
    server: Server, cdn: Server, tmp_path: Path
) -> None:
    server.redirect_to = cdn.url
    cdn.status = 403
    error = fails(server, tmp_path)
    assert error.code == download.TRANSIENT
    assert "signature" not in str(error)


def test_the_token_stays_with_the_hub(server: Server, cdn: Server, tmp_path: Path) -> None:
    server.redirect_to = cdn.url.replace("127.0.0.1", "localhost")
    run(server, tmp_path, token="hf_secret")
    assert {each["Authorization"] for each in server.requests} == {"Bearer hf_secret"}
    assert cdn.requests
    assert not [each for each in cdn.requests if "Authorization" in each]


def test_a_model_is_published_only_with_both_of_its_files(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, Plan(files=PLAN.files[:1], models={}))
    with pytest.raises(DownloadError, match="mmproj"):
        download.publish(tmp_path, PLAN)
    assert published(tmp_path) == []


def test_a_link_moves_to_a_new_file(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path)
    server.files["model.gguf"] = b"newer"
    newer = file("model.gguf", b"newer")
    link = Link(path="m/model.gguf", sha256=newer.sha256)
    run(server, tmp_path, Plan(files=(newer,), models={"m": (link,)}))
    assert (tmp_path / "m" / "model.gguf").read_bytes() == b"newer"


def test_no_space_is_said_before_the_first_byte(server: Server, tmp_path: Path) -> None:
    huge = File(repository="o/n", revision="main", name="x", size_bytes=2**60, sha256="0" * 64)
    error = fails(server, tmp_path, Plan(files=(huge,), models={}))
    assert error.code == download.NO_SPACE
    assert server.requests == []


def plan_document() -> dict[str, Any]:
    return {
        "files": [
            {
                "repository": "owner/name",
                "revision": "main",
                "name": "model.gguf",
                "size_bytes": len(MODEL),
                "sha256": PLAN.files[0].sha256,
            }
        ],
        "models": [{"id": "m", "links": [{"name": "model.gguf", "sha256": PLAN.files[0].sha256}]}],
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../x"),
        ("name", "/etc/x"),
        ("repository", "a b"),
        ("sha256", "0"),
        ("size_bytes", 0),
    ],
)
def test_a_plan_that_names_something_else_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    document = plan_document()
    document["files"][0][key] = value
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DownloadError) as caught:
        download.read_plan(path)
    assert caught.value.code == download.BAD_PLAN


def test_the_program_ends_with_the_exit_code(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    path = tmp_path / "plan.json"
    arguments = ["--plan", str(path), "--models", str(tmp_path / "models")]
    path.write_text(json.dumps(plan_document())[:40])
    assert download.main(arguments) == download.BAD_PLAN
    assert capsys.readouterr().err.startswith("error: ")
    path.write_text(json.dumps(plan_document()))
    assert download.main(arguments) == 0
    assert "all 1 files of 1 models are there" in capsys.readouterr().out


def test_it_imports_nothing_but_the_standard_library() -> None:
    import ast
    import sys

    tree = ast.parse(Path(download.__file__).read_text())
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
