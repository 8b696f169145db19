"""HF_TOKEN and HF_ENDPOINT: the token is sent to the hub alone, and never in clear text."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest

from ops.errors import OpsError
from ops.hub.files import HubSource, find_revision
from tests.fakes import hubs
from tests.fakes.authority import Authority
from tests.fakes.tunnel_proxy import TunnelProxy
from tests.in_pod.download.ways import forget_environment

COMMIT = "1" * 40


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)


def read_part() -> bytes:
    source = HubSource(repository="owner/name", commit=COMMIT, name="a.gguf", size_bytes=9)
    return source.read(0, 1)


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("ask", [lambda: find_revision("owner/name", "main"), read_part])
def test_a_token_never_goes_out_in_clear_text(
    ask: object, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(ask)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.invalid")
    with hubs.Hub({}) as proxy:
        if proxied:
            monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(OpsError) as caught:
            ask()
        assert proxy.requests == []
    assert str(caught.value) == (
        "HF_TOKEN would be readable on the way to http://mirror.invalid; expected an https:// "
        "HF_ENDPOINT, or no HF_TOKEN"
    )


@pytest.mark.parametrize("ask", [lambda: find_revision("owner/name", "main"), read_part])
def test_a_stored_token_is_not_sent_in_clear_text(
    ask: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`hf auth login` wrote it; a mirror without https needs none."""
    assert callable(ask)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.invalid")
    with hubs.Hub({}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(OpsError, match="the hub answers 404"):
            ask()
        assert proxy.requests
        assert "hf_secret" not in str(proxy.requests)


def test_an_https_hub_gets_the_token_through_a_tunnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid/")
    with hubs.Hub({}) as hub, TunnelProxy(hub.server_port) as proxy:
        context = authority.server_context("hub.invalid")
        hub.socket = context.wrap_socket(hub.socket, server_side=True)
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(OpsError, match="the hub answers 404"):
            find_revision("owner/name", "main")
        assert "hf_secret" in str(hub.requests)
        assert proxy.requests
        assert "hf_secret" not in str(proxy.requests)


def test_a_login_of_a_proxy_is_asked_for_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class WantsALogin(hubs.Counted):
        def answer(self, *, body: bool) -> None:
            self.refuse(407)

    with hubs.Hub({}, WantsALogin) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HF_ENDPOINT", "http://mirror.invalid")
        with pytest.raises(OpsError, match=r"407 \(the proxy requires a login; set it in the"):
            find_revision("owner/name", "main")


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        (
            {"HF_ENDPOINT": "https://user:secret@hub"},
            "HF_ENDPOINT has a login; expected none. Use HF_TOKEN.",
        ),
        (
            {"HF_ENDPOINT": "hub.invalid"},
            "HF_ENDPOINT is 'hub.invalid'; expected an http(s) address",
        ),
        ({"HF_TOKEN": "hf_schlüssel"}, "HF_TOKEN has invalid characters. Set it again."),
        (
            {"HF_ENDPOINT": "", "https_proxy": "socks5://user:secret@proxy"},
            "https_proxy is a SOCKS proxy, which is not supported; expected "
            "http://[login@]host:port",
        ),
        (
            {"HF_ENDPOINT": "https://hub.invalid", "https_proxy": "proxy.invalid:1"},
            "owner/name at main: no answer from hub.invalid (the proxy proxy.invalid:1 of "
            "https_proxy: [Errno -",
        ),
    ],
)
def test_a_mistake_is_one_line_without_a_secret(
    environment: dict[str, str], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OpsError) as caught:
        find_revision("owner/name", "main")
    assert str(caught.value).startswith(error)
    assert "secret" not in str(caught.value)
