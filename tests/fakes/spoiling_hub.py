"""A hub whose answers are damaged: status, headers and body, drawn by a seed."""

from __future__ import annotations

import gzip
import io
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from ops.hub.local_hub import HubFile
from tests.fakes import hubs
from tests.fakes.spoiled import spoiled_bytes, spoiled_json

_CODES = (
    *(b"100", b"101", b"103", b"200", b"204", b"206", b"300", b"301", b"302", b"303", b"304"),
    *(b"307", b"308", b"400", b"401", b"403", b"404", b"407", b"408", b"410", b"416", b"429"),
    *(b"451", b"500", b"503", b"600", b"999", b"000", b"99", b"-1", b"2xx", b"\xb2\xb2\xb2", b""),
)
_STATUS_LINES = (
    *(b"HTTP/1.1 %s OK", b"HTTP/1.1 %s OK", b"HTTP/1.1 %s", b"HTTP/1.0 %s \x1b[31m\t\xff"),
    *(b"HTTP/1.1 %s " + b"x" * 70_000, b"HTTP/0.9 %s", b"HTTP/2 %s", b"ICY %s OK", b"%s"),
)
_NUMBERS = ("0", "1", "5", "-1", "+5", " 5", "1e3", "nan", "9" * 18, "9" * 5000, "\u00b2", "")
_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Length": (*_NUMBERS, "5, 5"),
    "X-Linked-Size": _NUMBERS,
    "Content-Range": (
        *("bytes 0-0/1", "bytes */5", "bytes 5-1/9", "items 0-1/2", "bytes 0-\u00b2/\u00b2", "x"),
        *(f"bytes 0-0/{size}" for size in _NUMBERS),
    ),
    "Location": (
        *("", "/", "//", "?", "x", "x y", "//localhost:{port}{path}", "http://localhost:{port}"),
        *("http://localhost:{port}{path}", "HTTP://127.0.0.1:{port}{path}", "http:", "http://["),
        *("file:///etc/passwd", "file:/etc/passwd", "ftp://127.0.0.1/x", "javascript:0", "\u00fc"),
        *("http://127.0.0.1:1/", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "http://::1/"),
        *("http://[::1]/x", "http://[fe80::abcd]/x", "https://[fe80::abcd]/x", "http://[v1.a:b]/"),
        *("http://[::1%25lo]:1/", "http://a..invalid/", "http://" + "a" * 70 + ".invalid/"),
        *("http://user:word@localhost:{port}{path}", "http://local\x01host/", "http://\u00fc/"),
        *(
            "http://localhost:{port}/" + "x" * 60_000,
            "https://127.0.0.1:{port}{path}",
            "http://\uff0f",
        ),
    ),
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", "x"),
    "Content-Encoding": ("gzip", "br", "zstd", "deflate", "deflate, gzip", "x"),
    "Content-Type": ("text/html", "application/json; charset=nonsense", "\xff"),
    "X-Linked-Etag": ("", '"', "0" * 64, f'W/"{"f" * 64}"', "\u00b2" * 64),
    "Retry-After": (*_NUMBERS, "soon", "Fri, 31 Dec 9999 23:59:59 -2359"),
    "RateLimit": ('"api";r=0;t=212', f'"api";r={"9" * 5000};t={"9" * 5000}', "x"),
    "Set-Cookie": (
        *("a=b; Expires=Fri, 31 Dec 99999 23:59:59 GMT", "=", "a=b; Max-Age=nan", "a=b; Port=x"),
        *(f"a=b; Max-Age={'9' * 5000}", "a=b; Domain=.local; Path=/;;", "a=b; Version=\u00b2"),
    ),
    "Connection": ("close", "upgrade", "keep-alive"),
    "X-HF-Warning": ("\x1b[31m", "x; y"),
}
_LINES = (
    b": x",
    b" folded",
    b"no colon",
    b"A\x00: b",
    b"A: b\x0cC: d",
    b"A: \x85x",
    b"a" * 70_000,
)
_BODIES = (
    *(b"", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"NaN", b'"\\ud800"', b"\xff\xfe{}"),
    *(b"<html>", b"-5\r\nx", b"ffffffffffffffff\r\nx", b"5\r\nhello\r\n0\r\n\r\n", b"x" * 70_000),
    *(b"1\r\n{\r\n0\r\n" + b"A: b\r\n" * 200, gzip.compress(bytes(10**7))),
)


class SpoilingHub(hubs.Hub):
    """Damages about half of its answers; the same ones for each seed."""

    def __init__(self, files: Mapping[tuple[str, str], HubFile]) -> None:
        super().__init__(files, _Spoils)
        self.seed = 0
        self._asked: Counter[str] = Counter()

    def start(self, seed: int) -> None:
        """Forget what was requested, and damage by another seed."""
        with self.lock:
            self.seed = seed
            self.requests.clear()
            self._asked.clear()

    def chance(self, request: str) -> random.Random:
        """Return the draw for a request; threads may send different ones in any order."""
        with self.lock:
            self._asked[request] += 1
            return random.Random(f"{self.seed} {request} {self._asked[request]}")


class _Spoils(hubs.Counted):
    server: SpoilingHub

    def answer(self, *, body: bool) -> None:
        chance = self.server.chance(f"{self.path} {self.headers.get('Range')}")
        socket, self.wfile = self.wfile, io.BytesIO()
        super().answer(body=body)
        content, self.wfile = self.wfile.getvalue(), socket
        if chance.random() < 0.5:
            content = self.spoiled(content, chance)
            # Less than was announced would keep the client waiting.
            self.end()
        with suppress(ConnectionError):
            self.wfile.write(content)

    def spoiled(self, answer: bytes, chance: random.Random) -> bytes:
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        for _ in range(chance.choice((1, 1, 2, 3))):
            match chance.randrange(7):
                case 0:
                    status = chance.choice(_STATUS_LINES).replace(b"%s", chance.choice(_CODES))
                case 1:
                    status = b"HTTP/1.1 " + chance.choice((b"301", b"302", b"303", b"307", b"308"))
                    lines.append(self.header("Location", chance))
                case 2:
                    name = chance.choice(tuple(_HEADERS))
                    if chance.random() < 0.7:
                        lines = [line for line in lines if not line.startswith(name.encode())]
                    lines.append(self.header(name, chance))
                case 3:
                    lines.insert(chance.randrange(len(lines) + 1), chance.choice(_LINES))
                case _:
                    body = self.body(body, chance)
                    if chance.random() < 0.8:
                        lines = [line for line in lines if not line.startswith(b"Content-Length")]
                        lines.append(b"Content-Length: %d" % len(body))
        content = b"\r\n".join((status, *lines, b"", body))
        return spoiled_bytes(content, chance) if chance.random() < 0.05 else content

    def header(self, name: str, chance: random.Random) -> bytes:
        value = chance.choice(_HEADERS[name])
        value = value.replace("{port}", str(self.server.server_port)).replace("{path}", self.path)
        return f"{name}: {value}".encode(errors="surrogateescape")

    def body(self, body: bytes, chance: random.Random) -> bytes:
        fate = chance.random()
        if body.startswith(b"{") and fate < 0.8:
            return spoiled_json(body, chance)
        return chance.choice(_BODIES) if fate < 0.4 else spoiled_bytes(body, chance)
