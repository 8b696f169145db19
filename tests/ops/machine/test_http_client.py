"""The client of every command: which way a request takes, whom it trusts, and what is named."""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path

import httpx2
import pytest

from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.errors import OpsError
from ops.machine.http_client import http_client
from tests.conftest import ROOT
from tests.fakes import hubs
from tests.fakes.authority import Authority
from tests.fakes.endpoint import FakeEndpoint
from tests.fakes.tunnel_proxy import TunnelProxy
from tests.in_pod.download.ways import forget_environment


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)


def error_of(url: str) -> str:
    """Return the error of a request through the environment's proxy."""
    with http_client(through_proxy=True, timeout=5) as client:
        with pytest.raises((OpsError, httpx2.TransportError)) as caught:
            client.get(url)
        return str(caught.value)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_an_http_request_goes_through_the_proxy(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.Hub({}) as proxy, http_client(through_proxy=True, timeout=5) as client:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//user:w%40rd@"))
        assert client.get("http://hub.invalid/a").status_code == 404
        (request,) = proxy.requests
    assert request["path"] == "http://hub.invalid/a"
    login = "Basic " + base64.b64encode(b"user:w@rd").decode()
    assert request["Proxy-Authorization"] == login


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "hub.invalid", "invalid", ".invalid:80"])
def test_no_proxy_and_this_machine_are_reached_directly(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.Hub({}) as proxy, hubs.Hub({}) as server:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        with http_client(through_proxy=True, timeout=5) as client:
            for host in ("127.0.0.1", "localhost"):
                client.get(f"http://{host}:{server.server_port}/")
        assert len(server.requests) == 2
        if no_proxy != "127.0.0.1":
            assert error_of("http://hub.invalid").startswith("[Errno -")
        assert proxy.requests == []


def test_an_https_request_goes_through_a_tunnel_that_hides_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    with hubs.Hub({}) as server, TunnelProxy(server.server_port) as proxy:
        context = authority.server_context("hub.invalid")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:word@"))
        with http_client(through_proxy=True, timeout=5, headers={"X-Key": "secret"}) as client:
            assert client.get("https://hub.invalid/a").status_code == 404
        (tunnel,), (request,) = proxy.requests, server.requests
    assert tunnel["host"] == "hub.invalid:443"
    assert tunnel["Proxy-Authorization"] == "Basic dXNlcjp3b3Jk"
    assert "secret" not in str(tunnel)
    assert request["X-Key"] == "secret"
    assert "proxy-authorization" not in map(str.lower, request)


def test_the_endpoints_key_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with hubs.Hub({}) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for scheme in ("http", "https"):
            with Endpoint(f"{scheme}://endpoint.invalid", key="s3cret") as endpoint:
                with pytest.raises(CheckError, match=r"cannot connect to .* \(\[Errno -"):
                    endpoint.get("/v1/models", timeout_s=5)
        assert proxy.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_endpoint_with_a_certificate_of_a_private_authority_is_trusted(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv(
        variable, str(authority.path if variable == "SSL_CERT_FILE" else authority.path.parent)
    )
    with hubs.Hub({}) as server:
        context = authority.server_context("127.0.0.1")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with Endpoint(server.url.replace("http:", "https:")) as endpoint:
            assert endpoint.get("/", timeout_s=5).status == 404


def test_an_untrusted_certificate_is_the_named_cause(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with hubs.Hub({}) as server:
        context = authority.server_context("127.0.0.1")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        error = error_of(server.url.replace("http:", "https:"))
    assert error == (
        "its certificate is not trusted: unable to get local issuer certificate. If a private CA "
        "or a proxy signed it, set SSL_CERT_FILE to the file of that CA"
    )


def test_a_variable_without_certificates_is_named_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    expected = "SSL_CERT_FILE is '/nowhere'; expected a file of PEM certificates"
    assert error_of("https://hub.invalid") == expected
    with FakeEndpoint() as fake, Endpoint(fake.url) as endpoint:
        assert endpoint.get("/v1/models", timeout_s=5).status == 200


def test_a_socks_proxy_is_named_without_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://user:secret@proxy:1080")
    assert error_of("https://hub.invalid") == (
        "ALL_PROXY is a SOCKS proxy, which is not supported; expected http://[login@]host:port"
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, "the proxy 127.0.0.1:{port} of https_proxy refuses the connection (HTTP 403)"),
        (407, "the proxy requires a login (HTTP 407). Set it in https_proxy"),
        (502, "the proxy 127.0.0.1:{port} of https_proxy (HTTP 502)"),
    ],
)
def test_a_proxy_that_refuses_a_tunnel_is_named(
    status: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs.RefusingProxy, "status", status, raising=False)
    with hubs.Hub({}, hubs.RefusingProxy) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:secret@"))
        assert error_of("https://hub.invalid") == error.format(port=proxy.server_port)


def test_the_host_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.invalid:3128")
    named = r"the proxy proxy\.invalid:3128 of https_proxy: \[Errno -.*"
    assert re.fullmatch(named, error_of("https://hub.invalid"))
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        monkeypatch.setenv("https_proxy", f"http://{address}")
        refused = error_of("https://hub.invalid")
    assert refused == f"the proxy {address} of https_proxy: [Errno 111] Connection refused"
    # A server that speaks no TLS lies behind the tunnel.
    with hubs.Hub({}) as plain, TunnelProxy(plain.server_port) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        assert error_of("https://hub.invalid").startswith("through the proxy 127.0.0.1:")


def test_one_place_makes_clients() -> None:
    made = re.compile(r"httpx2\.(Client|get|post|put|stream|request)\(|\bimport requests\b")
    texts = {path.name: path.read_text() for path in (ROOT / "ops").rglob("*.py")}
    assert [name for name, text in texts.items() if made.search(text)] == ["http_client.py"]
