"""Immich's queues, as a window pauses and resumes them: both interfaces, and a key kept safe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from in_pod.gpu_window.api import Timing
from in_pod.gpu_window.errors import WindowError
from in_pod.gpu_window.immich import Immich
from tests.fakes.immich_queues import KEY, FakeImmich

QUICK = Timing(poll_s=0.01, immich_patience_s=0.1)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("generation", ["queues", "jobs"])
@pytest.mark.parametrize("suffix", ["", "/", "/api"])
def test_both_of_immichs_interfaces(generation: Any, suffix: str, said: list[str]) -> None:
    with FakeImmich(generation) as fake:
        fake.active["ocr"] = 2
        immich = Immich(fake.url + suffix, KEY, say=said.append, timing=QUICK)
        immich.set_paused("ocr", True)
        found = immich.queues()
        assert found["ocr"].is_paused
        assert found["ocr"].active == 1
        assert not found["smartSearch"].is_paused
        Immich(fake.url, KEY, say=said.append, timing=QUICK).set_paused("ocr", False)
        assert fake.calls == ["pause ocr", "resume ocr"]


def test_a_key_that_immich_refuses_is_not_shown(said: list[str]) -> None:
    with FakeImmich() as fake:
        immich = Immich(fake.url, "another-key", say=said.append, timing=QUICK)
        with pytest.raises(WindowError, match=r"401: Invalid API key.*queue\.update") as caught:
            immich.queues()
    assert "another-key" not in str(caught.value)


@pytest.mark.parametrize("url", ["immich:2283", "ftp://immich", "http://a@b", "http://a/?b=1", ""])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(WindowError, match="IMMICH_URL is no address"):
        Immich(url, KEY, say=print)


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A web server that is not Immich: its address, and the keys that it was shown."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("x-api-key", ""))
            is_redirect = self.path.startswith("/from")
            self.send_response(302 if is_redirect else 200)
            if is_redirect:
                self.send_header("Location", "/to")
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", keys
        server.shutdown()


def test_a_key_is_not_taken_along_a_redirect(
    stranger: tuple[str, list[str]], said: list[str]
) -> None:
    url, keys = stranger
    with pytest.raises(WindowError, match="answers 302"):
        Immich(f"{url}/from", KEY, say=said.append, timing=QUICK).queues()
    assert keys == [KEY]


def test_what_is_not_immich_is_said(stranger: tuple[str, list[str]], said: list[str]) -> None:
    with pytest.raises(WindowError, match="answers, but not as Immich does"):
        Immich(stranger[0], KEY, say=said.append, timing=QUICK).queues()
