"""A hub that sends without end, redirects anywhere or describes files that cannot be."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import huggingface_hub
import pytest

from ops.errors import OpsError
from ops.hub import files
from ops.hub.files import HubSource, find_revision
from tests.fakes import hubs
from tests.in_pod.download.ways import forget_environment

COMMIT = "1" * 40
MIB = 2**20


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)


def describe() -> object:
    return find_revision("owner/name", "main")


def read_part() -> object:
    source = HubSource(repository="owner/name", commit=COMMIT, name="a.gguf", size_bytes=9)
    return source.read(0, 9)


class Answers(hubs.Counted):
    """Sends one answer to everything, then closes."""

    status = 200
    sent: ClassVar[dict[str, str]] = {}
    content: ClassVar[bytes] = b""
    times = 1

    def answer(self, *, body: bool) -> None:
        self.send_response(self.status)
        for name, value in self.sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.end()
        with suppress(ConnectionError):
            for _ in range(self.times if body else 0):
                self.wfile.write(self.content)


def refusal(
    ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch, **answer: Any
) -> tuple[str, int]:
    """Return the error's line and the largest memory, in bytes."""
    for name, value in answer.items():
        monkeypatch.setattr(Answers, name, value)
    with hubs.Hub({}, Answers) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        tracemalloc.start()
        try:
            with pytest.raises(OpsError) as caught:
                ask()
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 400
    return line, peak_bytes


@pytest.mark.parametrize(
    ("ask", "status", "sent", "message"),
    [
        (describe, 200, {}, "the hub sends more than 8388608 bytes"),
        (read_part, 206, {"Content-Range": "bytes 0-8/9"}, "the hub sends more than 9 bytes"),
        (describe, 302, {"Location": "/"}, "the hub redirects in a loop"),
        (read_part, 307, {"Location": "/"}, "the hub redirects in a loop"),
    ],
)
def test_an_answer_without_end_is_refused_in_bounded_memory(
    ask: Callable[[], object],
    status: int,
    sent: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endless = {"content": bytes(MIB), "times": 100}
    line, peak_bytes = refusal(ask, monkeypatch, status=status, sent=sent, **endless)
    assert message in line
    assert peak_bytes < 32 * MIB


def test_an_answer_that_trickles_in_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LONGEST_S", 0)
    line, _ = refusal(describe, monkeypatch, content=b"[", times=2)
    assert "no answer from 127.0.0.1 (the answer did not end in time)" in line


def test_a_compressed_answer_is_not_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(100 * MIB))
    line, peak_bytes = refusal(
        describe, monkeypatch, sent={"Content-Encoding": "gzip"}, content=bomb
    )
    assert "the hub's answer is invalid" in line
    assert peak_bytes < 8 * MIB


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "(Request URL has an unsupported protocol 'file://'.)"),
        ("ftp://127.0.0.1/x", "(Request URL has an unsupported protocol 'ftp://'.)"),
        ("http://[fe80::abcd]/x", "no answer from 127.0.0.1 ([Errno "),
        ("http://127.0.0.1:99999/", "the hub's answer is invalid (ValueError)"),
    ],
)
@pytest.mark.parametrize("ask", [describe, read_part])
def test_a_redirect_elsewhere_is_one_line(
    ask: Callable[[], object], location: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, _ = refusal(ask, monkeypatch, status=302, sent={"Location": location})
    assert message in line


RIGHT = {"rfilename": "a.gguf", "size": 9, "lfs": {"sha256": "0" * 64}}


@pytest.mark.parametrize(
    ("siblings", "message"),
    [
        ([RIGHT, RIGHT], "owner/name: the hub lists a.gguf twice"),
        ([RIGHT | {"rfilename": None}], "the hub's answer is invalid (ValueError)"),
        ([RIGHT | {"rfilename": "a" * 1025}], "the hub's answer is invalid (ValueError)"),
        ([RIGHT | {"rfilename": "\x1b[31m\n", "size": -1}], "describes ?[31m with -1 bytes and"),
        ([RIGHT | {"size": 0}], "describes a.gguf with 0 bytes and the sha256"),
        ([RIGHT | {"size": 9.0}], "describes a.gguf with 9.0 bytes and the sha256"),
        ([RIGHT | {"size": True}], "describes a.gguf with True bytes and the sha256"),
        ([RIGHT | {"size": 10**400}], "describes a.gguf with 1000"),
        ([RIGHT | {"size": float("nan")}], "describes a.gguf with nan bytes"),
        ([RIGHT | {"lfs": {"sha256": "0" * 63}}], "and the sha256 '000"),
        ([RIGHT | {"lfs": "x"}], "the hub's answer is invalid (AttributeError)"),
        ("a", "the hub's answer is invalid (TypeError)"),
        (None, "the hub's answer is invalid (TypeError)"),
    ],
)
def test_a_file_that_cannot_be_is_refused(
    siblings: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.dumps({"sha": COMMIT, "siblings": siblings}).encode()
    assert message in refusal(describe, monkeypatch, content=content)[0]


@pytest.mark.parametrize("sha", [None, 5, "main", "1" * 41, "x\n" * 9999])
def test_a_commit_that_cannot_be_is_refused(sha: object, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps({"sha": sha, "siblings": []}).encode()
    line, _ = refusal(describe, monkeypatch, content=content)
    assert "the hub resolves main to the commit" in line or "invalid (TypeError)" in line


@pytest.mark.parametrize("ask", [describe, read_part])
def test_offline_nothing_is_requested(
    ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: True)
    with hubs.Hub({}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(OpsError, match=r"no answer from 127.0.0.1 \(HF_HUB_OFFLINE is set\)"):
            ask()
        assert hub.requests == []
