"""What the one client makes of an address where something else answers, or nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from in_pod.gateway import asking as module
from in_pod.gateway.asking import Answer, SilentError, UnreachableError, asking


@contextmanager
def server(
    body: bytes = b"{}",
    status: int = 200,
    content_type: str = "application/json",
    *,
    silent: bool = False,
) -> Iterator[tuple[str, list[str | None]]]:
    """Answer every request alike; yields the address and the keys that were sent."""
    keys: list[str | None] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers["authorization"])
            if silent:
                ended.wait(10)
                return
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/", keys
        finally:
            ended.set()
            listening.shutdown()
            thread.join()


def ask(url: str, key: str = "") -> Answer:
    async def main() -> Answer:
        return await asking(key)(url)

    return asyncio.run(main())


def test_an_answer_in_json_is_read_with_the_server_s_time() -> None:
    with server(b'{"running": []}') as (url, keys):
        answer = ask(url, "secret")
        assert keys == ["Bearer secret"]
    assert answer.document == {"running": []}
    assert answer.server_time > 1_600_000_000


def test_no_key_is_sent_where_there_is_none() -> None:
    with server() as (url, keys):
        ask(url)
        assert keys == [None]


def test_an_answer_that_is_not_json_keeps_its_text() -> None:
    for body in (b"hello", b"[" * 100_000):
        with server(body) as (url, _):
            answer = ask(url)
        assert answer.document is None
        assert answer.text.startswith(body[:5].decode())


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_error_of_a_proxy_means_that_nothing_serves(status: int) -> None:
    with server(b"no healthy upstream", status, "text/plain") as (url, _):
        with pytest.raises(UnreachableError, match=f"^it answers {status}$"):
            ask(url)


def test_an_error_in_json_is_an_answer() -> None:
    with server(b'{"enabled": false}', 503) as (url, _):
        assert ask(url).status == 503


def test_a_port_without_a_listener_and_a_name_without_an_address_are_unreachable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/"):
        with pytest.raises(UnreachableError, match=r"^nothing listens there$"):
            ask(url)


def test_an_answer_that_does_not_come_is_given_up() -> None:
    with server(silent=True) as (url, _):
        with pytest.raises(SilentError, match=r"^no answer within 0.8 s$"):
            ask(url)


def test_an_answer_without_an_end_is_given_up() -> None:
    with server(b"x" * 5_000_000) as (url, _):
        with pytest.raises(SilentError, match=r"^it answers more than 4,000,000 bytes$"):
            ask(url)


def test_an_address_that_takes_no_connection_is_unreachable() -> None:
    """Like that of a node which has lost its power."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        with pytest.raises(UnreachableError, match=r"^nothing listens there$"):
            ask(f"http://127.0.0.1:{full.getsockname()[1]}/")


def test_a_process_that_is_held_up_does_not_take_an_address_for_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held_up_s = [module._CONNECT_S + 0.05]

    async def main(url: str) -> None:
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def late(sock: socket.socket, address: Any) -> None:
            if held_up_s:
                time.sleep(held_up_s.pop())  # As LiteLLM does with its first requests.
            await connect(sock, address)

        monkeypatch.setattr(loop, "sock_connect", late)
        with suppress(SilentError):
            await asking("")(url)

    with server() as (url, _):
        asyncio.run(main(url))
    assert not held_up_s
