"""`ops lock` and failing hubs: an error of one line, and an unchanged lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from ops.hub.local_hub import HubFile, HubHandler
from tests.ops.commands.lock.lock_runs import (
    VISION,
    Files,
    lock,
    make_files,
    running,
    surroundings,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    surroundings(monkeypatch, tmp_path / "headers")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.lock.json"


def failing(
    path: Path,
    handler: type[HubHandler],
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Lock from a failing hub, which has to write nothing; returns the error."""
    with running(files, handler, monkeypatch):
        capsys.readouterr()
        assert lock(path, "--model", "seeing") == 1
    assert not path.exists()
    output = capsys.readouterr().err
    assert output.startswith("error: model 'seeing': ")
    assert output.count("\n") == 1
    assert output.endswith("Unchanged in the lock: seeing.\n")
    return output


class NoRepository(HubHandler):
    def answer(self, *, body: bool) -> None:
        self.refuse(404)


class Unauthorised(HubHandler):
    def answer(self, *, body: bool) -> None:
        self.refuse(401)


class Gated(HubHandler):
    def answer(self, *, body: bool) -> None:
        if "/resolve/" in self.path:
            self.refuse(403, X_Error_Code="GatedRepo")
        else:
            super().answer(body=body)


class Broken(HubHandler):
    def answer(self, *, body: bool) -> None:
        self.refuse(502)


class Liar(HubHandler):
    """Describes files longer than they are."""

    def sibling(self, name: str, file: HubFile) -> dict[str, Any]:
        told = super().sibling(name, file)
        return told | {"size": told["size"] + 4096}


class NoDigest(HubHandler):
    def sibling(self, name: str, file: HubFile) -> dict[str, Any]:
        told = super().sibling(name, file)
        del told["lfs"]
        return told


class StrangeDigest(HubHandler):
    def sibling(self, name: str, file: HubFile) -> dict[str, Any]:
        told = super().sibling(name, file)
        return told | {"lfs": told["lfs"] | {"sha256": "x"}}


class Answering(HubHandler):
    """Sends one text instead of every answer."""

    kind: ClassVar[str] = "text/html; charset=utf-8"
    text: ClassVar[bytes] = b"<!DOCTYPE html><html>Sign in</html>"
    where: ClassVar[str] = "/"

    def answer(self, *, body: bool) -> None:
        if self.where not in self.path:
            super().answer(body=body)
            return
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)


class WebPage(Answering):
    where = "/resolve/"


class NotJson(Answering):
    pass


class StrangeJson(Answering):
    kind = "application/json"
    text = b'{"id": "owner/seeing-GGUF", "sha": "main", "siblings": [{"rfilename": 1}]}'


class OddSha(Answering):
    kind = "application/json"
    text = b'{"id": "owner/seeing-GGUF", "sha": 5, "siblings": []}'


class DeepJson(Answering):
    kind = "application/json"
    text = b"[" * 100_000


class ListJson(Answering):
    kind = "application/json"
    text = b"[]"


class IgnoringRanges(HubHandler):
    def send_file(self, file: HubFile, *, body: bool) -> None:
        del self.headers["Range"]
        super().send_file(file, body=body)


class AnotherPart(HubHandler):
    def send_file(self, file: HubFile, *, body: bool) -> None:
        self.headers.replace_header("Range", "bytes=1-10")
        super().send_file(file, body=body)


class CutOff(HubHandler):
    def send_bytes(self, file: HubFile, first: int, end: int) -> None:
        super().send_bytes(file, first, first + 100)
        self.close_connection = True


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (NoRepository, "owner/seeing-GGUF at main: the hub answers 404 (it does not exist)"),
        (Unauthorised, "the hub answers 401 (it does not exist, or HF_TOKEN is missing or wrong)"),
        (Gated, "Seeing-Q4_K_M.gguf: the hub answers 403 (HF_TOKEN has no access"),
        (Broken, "the hub answers 502 (an error of the hub)"),
        (Liar, "bytes and sends "),
        (NoDigest, "the hub has no sha256 of Seeing-Q4_K_M.gguf"),
        (StrangeDigest, "bytes and the sha256 'x'"),
        (WebPage, "Seeing-Q4_K_M.gguf: the hub sends a web page instead"),
        (NotJson, "the hub's answer is invalid"),
        (StrangeJson, "the hub resolves main to the commit 'main'"),
        (OddSha, "the hub's answer is invalid"),
        (DeepJson, "the hub's answer is invalid"),
        (ListJson, "the hub's answer is invalid"),
        (IgnoringRanges, "Seeing-Q4_K_M.gguf: the hub sends the whole file instead of"),
        (AnotherPart, "the hub sends bytes 1 to 10"),
        (CutOff, "Seeing-Q4_K_M.gguf: no answer from 127.0.0.1 (peer closed connection"),
    ],
)
def test_a_failing_hub_is_an_error_of_one_line(
    handler: type[HubHandler],
    message: str,
    files: Files,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in failing(path, handler, files, monkeypatch, capsys)


def test_a_web_page_with_a_ggufs_name_is_refused(
    files: Files, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    page = tmp_path / "Seeing-Q4_K_M.gguf"
    page.write_text("<html>Please sign in</html>")
    bad = files | {(VISION.repository, page.name): HubFile.of(page)}
    output = failing(path, HubHandler, bad, monkeypatch, capsys)
    assert "Seeing-Q4_K_M.gguf is a web page; expected a GGUF file" in output


def test_an_unreachable_hub_is_an_error_of_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert lock(path) == 1
    output = capsys.readouterr().err
    assert "owner/seeing-GGUF at main: no answer from 127.0.0.1 ([Errno 111]" in output
    assert "Unchanged in the lock: seeing, reading." in output
    assert output.count("\n") == 1
    assert not path.exists()
