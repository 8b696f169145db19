from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from in_pod.gateway import fetching
from in_pod.gateway.fetching import Address, Fetcher, Resolve, is_public
from in_pod.gateway.policy import Pictures
from in_pod.gateway.refusal import RefusedError
from tests.fakes.authority import Authority
from tests.fakes.web_pictures import RED, web_pictures

LIMITS = Pictures(number=8, bytes=100_000, pixels=1_000_000, internal_ranges=())
PUBLIC, PRIVATE = "127.0.0.1", "127.0.0.2"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with web_pictures() as url:
        yield int(url.rsplit(":", 1)[1])


def names(**hosts: Sequence[str]) -> Resolve:
    """Resolve hosts below .example, one answer of several each time."""
    left = {host: list(addresses) for host, addresses in hosts.items()}

    async def resolve(host: str, port: int) -> list[str]:
        known = left.get(host.removesuffix(".example"))
        if known is None:
            return list(await fetching.resolve(host, port))
        return (known.pop(0) if len(known) > 1 else known[0]).split()

    return resolve


def fetch(
    url: str,
    resolve: Resolve | None = None,
    public: Callable[[Address], bool] = lambda address: str(address) == PUBLIC,
    limits: Pictures = LIMITS,
) -> bytes:
    fetcher = Fetcher(limits, resolve=resolve or names(pictures=[PUBLIC]), public=public)
    return asyncio.run(fetcher.fetch(url))


def refusal(url: str, *words: str, **how: object) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        fetch(url, **how)  # type: ignore[arg-type]
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)
    return refused.value


def test_a_picture_of_a_public_host_is_fetched(port: int) -> None:
    assert fetch(f"http://pictures.example:{port}/red.png?token=secret") == RED


def test_a_name_of_other_letters_is_resolved_as_it_is_sent(port: int) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC]

    assert fetch(f"http://fu\u00dfball.example:{port}/red.png", resolve) == RED
    assert asked == ["xn--fuball-cta.example"]


def test_a_redirect_is_followed_and_resolved_again(port: int) -> None:
    assert fetch(f"http://pictures.example:{port}/moved.png") == RED
    there = quote(f"http://other.example:{port}/red.png", safe="")
    resolve = names(pictures=[PUBLIC], other=[PRIVATE])
    refused = refusal(f"http://pictures.example:{port}/to/{there}", PRIVATE, resolve=resolve)
    assert refused.status == 403


@pytest.mark.parametrize(
    "there", ["file:///etc/passwd", "gopher://pictures.example/x", "http://u:p@pictures.example/"]
)
def test_a_redirect_to_another_scheme_is_refused(port: int, there: str) -> None:
    refusal(f"http://pictures.example:{port}/to/{quote(there, safe='')}", "http(s)://")


def test_redirects_are_counted(port: int) -> None:
    address = f"http://pictures.example:{port}/red.png"
    for count, passes in ((3, True), (4, False)):
        nested = address
        for _ in range(count):
            nested = f"http://pictures.example:{port}/to/{quote(nested, safe='')}"
        if passes:
            assert fetch(nested) == RED
        else:
            refusal(nested, "more than 3 times")


def test_a_host_that_changes_its_address_is_connected_by_the_checked_one(port: int) -> None:
    """DNS rebinding: only the first answer is public, and nobody asks for a second one."""
    assert (
        fetch(
            f"http://pictures.example:{port}/red.png",
            names(pictures=[PUBLIC, PRIVATE, PRIVATE]),
        )
        == RED
    )
    # Were it resolved for the check and again for the connection, this one would pass the check.
    refusal(f"http://pictures.example:{port}/red.png", resolve=names(pictures=[PRIVATE, PUBLIC]))


def test_one_address_that_is_not_public_refuses_the_host(port: int) -> None:
    resolve = names(pictures=[f"{PUBLIC} {PRIVATE}"])
    refusal(f"http://pictures.example:{port}/red.png", PRIVATE, resolve=resolve)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "0.0.0.0", "0", "127.1", "2130706433", "0x7f000001"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("10.0.0.1", "192.168.1.127", "172.16.0.1", "169.254.169.254", "100.64.0.1", "192.0.2.1"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "[fe80::1]", "[fc00::1]", "[ff02::1]"),
        *("198.18.0.1", "[2001::1]", "[2001:db8::1]", "[::127.0.0.1]", "[fec0::1]"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(RefusedError) as refused:
        asyncio.run(Fetcher(LIMITS).fetch(f"http://{host}:1/"))
    assert refused.value.status == 403 or "without an address" in str(refused.value)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_the_public_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_public_ranges_of_the_operator_are_refused(port: int) -> None:
    limits = Pictures(
        number=1, bytes=9**9, pixels=1, internal_ranges=("127.0.0.0/24", "2600::/16")
    )
    refusal(f"http://pictures.example:{port}/red.png", "expected a public", limits=limits)


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http:///red.png", "https://user:secret@pictures.example/", "http://[::1/"),
        *("httpx://pictures.example/", "http:pictures.example", "http://pictures.example:99999/"),
        *("http://a\tb.example/", "http://" + "a" * 300 + ".example/", "http://\ud800.example/"),
        "http://xn--.example/",
    ],
)  # fmt: skip
def test_a_malformed_address_is_refused(url: str) -> None:
    assert "secret" not in str(refusal(url))


def test_a_picture_that_is_missing_or_too_large_is_refused(port: int) -> None:
    refusal(f"http://pictures.example:{port}/nope.png?token=secret", "HTTP 404")
    limits = Pictures(number=1, bytes=len(RED) - 1, pixels=1, internal_ranges=())
    refused = refusal(f"http://pictures.example:{port}/red.png?token=secret", limits=limits)
    assert refused.status == 413
    assert "secret" not in str(refused)


def test_a_host_that_nobody_knows_or_answers_is_refused(port: int) -> None:
    refusal("http://nowhere.invalid/x", "without an address: nowhere.invalid")
    with socket.socket() as closed:
        closed.bind((PUBLIC, 0))
        refusal(f"http://pictures.example:{closed.getsockname()[1]}/", "ConnectError")


def test_a_server_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_TIMEOUT_S", 0.3)
    with server(lambda request: drip(request)) as there:
        refusal(f"http://pictures.example:{there}/", "did not arrive")


def test_a_server_without_end_is_cut_off() -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            request.wfile.write(b"a" * 65536)

    with server(endless) as there:
        assert refusal(f"http://pictures.example:{there}/").status == 413


def test_nothing_of_a_client_or_an_earlier_fetch_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine pictures.example login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    heads: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        heads.append(str(request.headers))
        request.wfile.write(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=secret\r\nContent-Length: 1\r\n\r\nx"
        )

    with server(answer) as there:
        fetcher = Fetcher(LIMITS, resolve=names(pictures=[PUBLIC]), public=lambda _: True)
        for _ in range(2):
            url = f"http://pictures.example:{there}/"
            assert asyncio.run(fetcher.fetch(url)) == b"x"
    assert len(heads) == 2
    for head in heads:
        assert f"host: pictures.example:{there}" in head.lower()
        assert "secret" not in head
        assert "authorization" not in head.lower()


def test_the_certificate_is_checked_for_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    with server(answer, authority.server_context("pictures.example")) as there:
        resolve = names(pictures=[PUBLIC], others=[PUBLIC])
        assert fetch(f"https://pictures.example:{there}/", resolve) == b"x"
        refusal(f"https://others.example:{there}/", "ConnectError", resolve=resolve)


def drip(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    pause = threading.Event()
    while True:
        request.wfile.write(b"X: y\r\n")
        pause.wait(0.05)


@contextmanager
def server(
    answer: Callable[[BaseHTTPRequestHandler], None], context: object = None
) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Quiet((PUBLIC, 0), Handler) as running:
        if context is not None:
            running.socket = context.wrap_socket(running.socket, server_side=True)  # type: ignore[attr-defined]
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running.server_port
        running.shutdown()
