"""The environment's proxies: which one is used, what goes through it, and what is named."""

from __future__ import annotations

import base64
import gc
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from in_pod.download import pace
from in_pod.download.__main__ import main
from in_pod.download.contract import NO_ACCESS, NOT_AS_PLANNED, TRANSIENT
from in_pod.download.errors import DownloadError
from in_pod.download.proxies import proxy_of
from tests.fakes import hubs
from tests.fakes.authority import Authority
from tests.fakes.tunnel_proxy import TunnelProxy
from tests.in_pod.download.volume import Source
from tests.in_pod.download.ways import forget_environment

pytestmark = pytest.mark.usefixtures("signals")
PROXY, OTHER = "http://proxy:3128", "http://other:8080"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)
    monkeypatch.setattr(pace, "RETRY_S", 0.02)


def download(source: Source, models: Path) -> int:
    options = ("--timeout-s=2", "--patience-s=0.5", "--lease-s=2", "--wait-s=0")
    return main(["--plan", str(source.plan_path), "--models", str(models), *options])


@pytest.mark.parametrize(
    ("url", "environment", "used"),
    [
        ("https://hub", {}, None),
        ("https://hub", {"HTTPS_PROXY": PROXY}, "proxy:3128 of HTTPS_PROXY"),
        ("https://hub", {"https_proxy": PROXY}, "proxy:3128 of https_proxy"),
        ("https://hub", {"https_proxy": PROXY, "HTTPS_PROXY": OTHER}, "proxy:3128 of https_proxy"),
        ("https://hub", {"https_proxy": "", "HTTPS_PROXY": OTHER}, "other:8080 of HTTPS_PROXY"),
        ("https://hub", {"https_proxy": " ", "HTTPS_PROXY": ""}, None),
        ("https://hub", {"ALL_PROXY": PROXY}, "proxy:3128 of ALL_PROXY"),
        ("https://hub", {"all_proxy": PROXY, "https_proxy": OTHER}, "other:8080 of https_proxy"),
        ("https://hub", {"HTTP_PROXY": PROXY}, None),
        ("http://hub", {"HTTP_PROXY": PROXY}, "proxy:3128 of HTTP_PROXY"),
        ("http://hub", {"HTTPS_PROXY": PROXY}, None),
        ("http://hub", {"ALL_PROXY": PROXY}, "proxy:3128 of ALL_PROXY"),
        ("https://hub", {"HTTPS_PROXY": "proxy:3128"}, "proxy:3128 of HTTPS_PROXY"),
        ("https://hub", {"HTTPS_PROXY": "proxy"}, "proxy:80 of HTTPS_PROXY"),
        ("https://hub", {"HTTPS_PROXY": "http://proxy:3128/"}, "proxy:3128 of HTTPS_PROXY"),
        ("https://hub", {"HTTPS_PROXY": "http://[::1]:3128"}, "::1:3128 of HTTPS_PROXY"),
        ("https://hub", {"HTTPS_PROXY": "http://a:b@proxy:3128"}, "proxy:3128 of HTTPS_PROXY"),
        # GNOME sets all of them; the one for https is used.
        ("https://hub", {"https_proxy": PROXY, "all_proxy": "socks://proxy:1080"}, "proxy:3128"),
        ("https://localhost:8443", {"HTTPS_PROXY": PROXY}, None),
        ("http://127.0.0.1:80", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:80", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_the_proxy_of_an_address(
    url: str, environment: dict[str, str], used: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_of(urlsplit(url))
    assert (proxy is None) == (used is None)
    assert used is None or used in str(proxy)


DIRECT, PROXIED = True, False


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("*", "https://hub.corp.test", DIRECT),
        ("hub.corp.test", "https://hub.corp.test", DIRECT),
        ("HUB.corp.test", "https://hub.CORP.test", DIRECT),
        ("hub.corp.test.", "https://hub.corp.test", DIRECT),
        ("hub.corp.test", "https://hub.corp.test.", DIRECT),
        ("corp.test", "https://hub.corp.test", DIRECT),
        (".corp.test", "https://hub.corp.test", DIRECT),
        (".corp.test", "https://corp.test", DIRECT),
        ("*.corp.test", "https://hub.corp.test", DIRECT),
        ("corp.test", "https://notcorp.test", PROXIED),
        ("hub.corp.test", "https://corp.test", PROXIED),
        ("hub.corp.test:443", "https://hub.corp.test", DIRECT),
        ("hub.corp.test:8443", "https://hub.corp.test", PROXIED),
        ("hub.corp.test:8443", "https://hub.corp.test:8443", DIRECT),
        ("corp.test:80", "http://hub.corp.test", DIRECT),
        ("a.test, corp.test", "https://hub.corp.test", DIRECT),
        ("a.test corp.test", "https://hub.corp.test", DIRECT),
        ("a.test,,", "https://hub.corp.test", PROXIED),
        ("10.0.0.0/8", "https://10.9.8.7", DIRECT),
        ("10.0.0.0/8", "https://11.9.8.7", PROXIED),
        ("10.0.0.0/8", "https://hub.corp.test", PROXIED),
        ("10.0.0.1/8", "https://10.9.8.7", DIRECT),
        ("10.9.8.7", "https://10.9.8.7", DIRECT),
        ("10.9.8.7:443", "https://10.9.8.7", DIRECT),
        ("10.9.8.7:80", "https://10.9.8.7", PROXIED),
        ("9.8.7", "https://10.9.8.7", PROXIED),
        ("fd00::/8", "https://[fd00::1]", DIRECT),
        ("fd00:0::1", "https://[fd00::1]", DIRECT),
        ("[fd00::1]", "https://[fd00::1]", DIRECT),
        ("[fd00::1]:443", "https://[fd00::1]", DIRECT),
        ("[fd00::1]:80", "https://[fd00::1]", PROXIED),
        ("hub.corp.test:99999999999999999999", "https://hub.corp.test", PROXIED),
        (".", "https://hub.corp.test", PROXIED),
        ("/8", "https://10.9.8.7", PROXIED),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy_is_read_as_curl_and_go_read_it(
    variable: str, no_proxy: str, url: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv(variable, no_proxy)
    assert (proxy_of(urlsplit(url)) is None) == is_direct


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("socks5://user:secret@proxy:1080", "is a SOCKS proxy, which is not supported"),
        ("socks5h://proxy:1080", "is a SOCKS proxy, which is not supported"),
        ("socks4://proxy:1080", "is a SOCKS proxy, which is not supported"),
        ("socks://proxy:1080", "is a SOCKS proxy, which is not supported"),
        ("https://user:secret@proxy:3128", "begins with https://, which is not supported"),
        ("ftp://user:secret@proxy", "begins with ftp://, which is not supported"),
        ("http://user:se/secret@proxy:3128", "is invalid"),
        ("http://user:12/secret@proxy:3128", "is invalid"),
        ("http://user:12#secret@proxy:3128", "is invalid"),
        ("http://user:12?secret@proxy:3128", "is invalid"),
        ("http://proxy:99999", "is invalid"),
        ("http://proxy:0", "is invalid"),
        ("http://", "is invalid"),
        ("http://[secret", "is invalid"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_login(
    value: str,
    reason: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    assert download(source, models) == NOT_AS_PLANNED
    error = capsys.readouterr().err
    assert error == f"error: HTTPS_PROXY {reason}; expected http://[login@]host:port\n"


def test_a_complete_volume_needs_no_usable_proxy(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.Hub(source.files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert download(source, models) == 0
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1080")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    assert download(source, models) == 0


def test_requests_for_an_http_hub_go_through_its_proxy(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.Hub(source.files) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:w%40rd@"))
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
        assert download(source, models) == 0
        assert {request["path"].partition("/owner")[0] for request in proxy.requests} == {
            "http://hub.invalid"
        }
        logins = {request["Proxy-Authorization"] for request in proxy.requests}
        assert logins == {"Basic " + base64.b64encode(b"user:w@rd").decode()}
    assert source.is_published(models)


def test_an_https_hub_is_reached_through_a_tunnel_that_hides_the_token(
    source: Source, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    with hubs.Hub(source.files) as hub, TunnelProxy(hub.server_port) as proxy:
        context = authority.server_context("hub.invalid")
        hub.socket = context.wrap_socket(hub.socket, server_side=True)
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:word@"))
        assert download(source, models) == 0
        assert {request["Authorization"] for request in hub.requests} == {"Bearer hf_secret"}
        assert not [request for request in hub.requests if "Proxy-Authorization" in request]
        assert {request["host"] for request in proxy.requests} == {"hub.invalid:443"}
        assert {request["Proxy-Authorization"] for request in proxy.requests} == {
            "Basic dXNlcjp3b3Jk"
        }
        assert not [request for request in proxy.requests if "Authorization" in request]
    assert source.is_published(models)


@pytest.mark.parametrize("proxied", [False, True])
def test_a_token_never_goes_out_in_clear_text(
    proxied: bool,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.invalid")
    with hubs.Hub(source.files) as proxy:
        if proxied:
            monkeypatch.setenv("http_proxy", proxy.url)
        assert download(source, models) == NOT_AS_PLANNED
        assert proxy.requests == []
    assert capsys.readouterr().err == (
        "error: HF_TOKEN would be readable on the way to http://mirror.invalid; expected an "
        "https:// HF_ENDPOINT, or no HF_TOKEN\n"
    )


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("https://user:secret@hub", "HF_ENDPOINT has a login; expected none. Use HF_TOKEN."),
        ("https://user:secret@hub:99999", "HF_ENDPOINT is invalid; expected an http(s) address"),
        ("https://h ub", "HF_ENDPOINT is 'https://h ub'; expected an http(s) address"),
    ],
)
def test_an_endpoint_with_a_login_is_refused_and_not_printed(
    endpoint: str,
    message: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert download(source, models) == NOT_AS_PLANNED
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, NO_ACCESS, "hub.invalid: the proxy refuses the connection (HTTP 403)"),
        (407, NO_ACCESS, "hub.invalid: the proxy requires a login (HTTP 407). Set it in https_p"),
        (502, TRANSIENT, "the proxy 127.0.0.1:{port} of https_proxy: HTTP 502; no data for"),
    ],
)
def test_a_proxy_that_refuses_a_tunnel_is_named(
    status: int,
    code: int,
    message: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hubs.RefusingProxy, "status", status, raising=False)
    with hubs.Hub(source.files, hubs.RefusingProxy) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:secret@"))
        monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
        assert download(source, models) == code
    error = capsys.readouterr().err
    assert message.format(port=proxy.server_port) in error
    assert "secret" not in error
    gc.collect()  # Python 3.11 up to 3.11.6 leaves the proxy's answer open: here, not later.


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "gguf: hub.invalid: its name cannot be resolved ("),
        (
            {"https_proxy": "http://proxy.invalid:3128"},
            "gguf: the proxy proxy.invalid:3128 of https_proxy: its name cannot be resolved (",
        ),
        (
            {"https_proxy": "http://127.0.0.1:{closed}"},
            "gguf: the proxy 127.0.0.1:{closed} of https_proxy: ConnectionRefusedError",
        ),
        (
            {"https_proxy": "{tunnel}"},
            "gguf: hub.invalid through the proxy 127.0.0.1:",
        ),
    ],
)
def test_the_host_that_fails_is_named(
    variables: dict[str, str],
    message: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A hub that speaks no TLS lies behind the tunnel.
    with (
        socket.socket() as unheard,
        hubs.Hub(source.files) as plain,
        TunnelProxy(plain.server_port) as tunnel,
    ):
        unheard.bind(("127.0.0.1", 0))
        closed = unheard.getsockname()[1]
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(closed=closed, tunnel=tunnel.url))
        monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
        assert download(source, models) == TRANSIENT
    assert message.format(closed=closed) in capsys.readouterr().err


def test_a_login_is_not_part_of_a_proxys_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    proxy = proxy_of(urlsplit("https://hub"))
    assert "secret" not in f"{proxy} {proxy!r}"
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:99999")
    with pytest.raises(DownloadError) as caught:
        proxy_of(urlsplit("https://hub"))
    assert "secret" not in str(caught.value)
