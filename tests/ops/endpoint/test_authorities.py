"""A private certificate authority, for Immich and for the endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import httpcore2
import pytest

from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.errors import OpsError
from ops.immich.api import Immich
from ops.immich.http import ImmichHttp
from tests.fakes.authority import serve_tls
from tests.fakes.immich_server import KEY, FakeImmich, immich_server


@pytest.fixture(autouse=True)
def certificates_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    read = inspect.unwrap(httpcore2.default_ssl_context)
    monkeypatch.setattr(httpcore2, "default_ssl_context", read)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[FakeImmich, str, Path]]:
    with immich_server() as server:
        ca_file = serve_tls(server, tmp_path)
        yield server, server.url.replace("http:", "https:"), ca_file


def connect(url: str) -> tuple[int, ...]:
    with Immich(ImmichHttp(url, key=KEY, pause=lambda _: None)) as immich:
        return immich.version


def test_the_authority_of_ssl_cert_file_is_accepted(
    secured: tuple[FakeImmich, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url, ca_file = secured
    hint = r"not trusted: .*\. If a private CA or a proxy signed it, set SSL_CERT_FILE to the file"
    for unset in (None, ""):
        if unset is not None:
            monkeypatch.setenv("SSL_CERT_FILE", unset)
        with pytest.raises(OpsError, match=hint):
            connect(url)
        with Endpoint(url) as endpoint, pytest.raises(CheckError, match=hint):
            endpoint.get("/api/server/version", timeout_s=5)
    assert server.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    assert connect(url) == (3, 2, 2)
    with Endpoint(url) as endpoint:
        assert endpoint.get("/api/server/version", timeout_s=5).document()["major"] == 3


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_a_file_without_certificates_is_an_error_that_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    url = "https://127.0.0.1:9"
    for client in (connect, lambda url: Endpoint(url).get("/", timeout_s=5)):
        with pytest.raises(OpsError) as error:
            client(url)
        assert f"SSL_CERT_FILE is '{path}'; expected a file of PEM certificates" in str(
            error.value
        )
