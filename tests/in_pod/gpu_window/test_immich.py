"""Immich's queues: both versions of the API, and the API key stays secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from in_pod.gpu_window.errors import UnansweredError, WindowError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.timing import Timing
from tests.conftest import ROOT
from tests.fakes import immich_queues
from tests.fakes.authority import Authority, serve_tls
from tests.fakes.immich_queues import KEY, FakeImmich

QUICK = Timing(poll_s=0.01, immich_patience_s=0.1)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.mark.parametrize("generation", ["queues", "jobs"])
@pytest.mark.parametrize("suffix", ["", "/", "/api"])
def test_queues_are_paused_and_resumed_through_both_apis(
    generation: Any, suffix: str, lines: list[str]
) -> None:
    with FakeImmich(generation) as fake:
        fake.active["ocr"] = 2
        immich = Immich(fake.url + suffix, KEY, say=lines.append, timing=QUICK)
        immich.set_paused("ocr", True)
        queues = immich.queues()
        assert queues["ocr"].is_paused
        assert queues["ocr"].active == 1
        assert not queues["smartSearch"].is_paused
        Immich(fake.url, KEY, say=lines.append, timing=QUICK).set_paused("ocr", False)
        assert fake.calls == ["pause ocr", "resume ocr"]


def test_the_environments_proxy_never_sees_the_key(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeImmich() as fake, FakeImmich() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        Immich(fake.url, KEY, say=lines.append, timing=QUICK).set_paused("ocr", True)
        assert (fake.calls, proxy.calls) == (["pause ocr"], [])


def test_a_refused_key_is_not_in_the_error(lines: list[str]) -> None:
    with FakeImmich() as fake:
        immich = Immich(fake.url, "another-key", say=lines.append, timing=QUICK)
        with pytest.raises(WindowError, match=r"401: Invalid API key.*queue\.update") as caught:
            immich.queues()
    assert "another-key" not in str(caught.value)


def test_a_validation_error_shows_its_reasons(lines: list[str]) -> None:
    with FakeImmich() as fake:
        immich = Immich(fake.url, KEY, say=lines.append, timing=QUICK)
        with pytest.raises(WindowError, match="answers 400: Validation failed, Invalid option"):
            immich.set_paused("coffee", True)


def test_the_authority_of_ssl_cert_file_is_accepted(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeImmich()
    ca_file = serve_tls(fake.server, tmp_path)
    url = fake.url.replace("http:", "https:")
    with fake:
        with pytest.raises(WindowError, match="CERTIFICATE_VERIFY_FAILED"):
            Immich(url, KEY, say=lines.append, timing=QUICK).queues()
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        assert "ocr" in Immich(url, KEY, say=lines.append, timing=QUICK).queues()


@pytest.mark.parametrize("url", ["immich:2283", "ftp://immich", "http://a@b", "http://a/?b=1", ""])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(WindowError, match="IMMICH_URL is invalid"):
        Immich(url, KEY, say=print)


def test_a_key_with_a_newline_at_its_end_is_taken_without(lines: list[str]) -> None:
    with FakeImmich() as fake:
        assert Immich(fake.url, f"{KEY}\n", say=lines.append, timing=QUICK).queues()


@pytest.mark.parametrize("key", ["a b", "cl\u00e9", "a\nb", " "])
def test_a_key_that_is_no_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(WindowError, match="IMMICH_API_KEY is invalid") as caught:
        Immich("http://immich", key, say=print)
    assert key.strip() not in str(caught.value) or not key.strip()


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A web server that is not Immich: its address and the API keys that it received."""
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


def test_the_key_does_not_follow_a_redirect(
    stranger: tuple[str, list[str]], lines: list[str]
) -> None:
    url, keys = stranger
    with pytest.raises(WindowError, match="answers 302"):
        Immich(f"{url}/from", KEY, say=lines.append, timing=QUICK).queues()
    assert keys == [KEY]


def test_a_server_that_is_not_immich_is_refused(
    stranger: tuple[str, list[str]], lines: list[str]
) -> None:
    with pytest.raises(WindowError, match="does not answer like Immich"):
        Immich(stranger[0], KEY, say=lines.append, timing=QUICK).queues()


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeImmich, Path]]:
    """Immich with a certificate of a private authority, and that authority's file."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    authority = Authority(tmp_path)
    with FakeImmich(tls=authority.server_context("127.0.0.1")) as fake:
        yield fake, authority.path


def test_a_private_authority_is_trusted(
    private: tuple[FakeImmich, Path], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, path = private
    with pytest.raises(UnansweredError, match="unable to get local issuer certificate"):
        Immich(fake.url, KEY, say=lines.append, timing=QUICK).queues()
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert Immich(fake.url, KEY, say=lines.append, timing=QUICK).queues()


def test_an_authority_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with pytest.raises(WindowError, match="SSL_CERT_FILE is '/nowhere'; expected a file of PEM"):
        Immich("https://immich", KEY, say=print)
    Immich("http://immich", KEY, say=print)


def test_both_programs_trust_the_same_authorities() -> None:
    """They are mounted separately, so that neither can import the other's module."""
    first, second = (ROOT / "in_pod" / name / "tls.py" for name in ("download", "gpu_window"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("active", ["3", None, -1, 1.5, True, [], {}])
@pytest.mark.parametrize("generation", ["queues", "jobs"])
def test_a_queue_with_a_strange_number_is_refused(
    generation: Any, active: object, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeImmich, "counts", lambda *_: {"active": active})
    monkeypatch.setattr(immich_queues, "check_answer", lambda *_: None)
    with FakeImmich(generation) as fake:
        with pytest.raises(WindowError, match="does not answer like Immich"):
            Immich(fake.url, KEY, say=lines.append, timing=QUICK).queues()
