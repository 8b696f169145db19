"""The HTTP client of the front end: limited in size and time, without redirects or proxies."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .contract import KEY_VARIABLE
from .errors import ExporterError

TIMEOUT_S = 10.0
"""Of each step: to connect, to wait for an answer, to wait for its next bytes."""
_LONGEST_S = 30.0
"""Of a whole answer."""
LARGEST_ANSWER_BYTES = 2 << 20
_CHUNK_BYTES = 64 << 10


class FrontEndError(Exception):
    """The front end did not answer as expected; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client of one front end. Each request has its own connection."""

    host: str
    port: int
    is_https: bool
    key_file: Path | None
    """File with the API key, which may change (default: the key of `KEY_VARIABLE`)."""

    @classmethod
    def of(cls, url: str, key_file: Path | None) -> Client:
        """Make a client.

        Args:
            url: `http://host:port`.
            key_file: As above.

        Raises:
            ExporterError: when the address is invalid.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        is_valid = parts.scheme in ("http", "https") and parts.path in ("", "/")
        if not (is_valid and parts.hostname and port) or "@" in parts.netloc or parts.query:
            raise ExporterError(f"--url is {url!r}; expected http://HOST:PORT")
        return cls(
            host=parts.hostname, port=port, is_https=parts.scheme == "https", key_file=key_file
        )

    def text(self, path: str) -> bytes:
        """Return the body of a successful answer.

        Raises:
            FrontEndError: when there is none.
        """
        until = time.monotonic() + _LONGEST_S
        body = bytearray()
        with self._open(path, begins_s=TIMEOUT_S, next_s=TIMEOUT_S) as response:
            for chunk in self._chunks(path, response):
                body += chunk
                if len(body) > LARGEST_ANSWER_BYTES:
                    raise FrontEndError(
                        f"GET {path}: the answer is larger than {LARGEST_ANSWER_BYTES} B"
                    )
                if time.monotonic() > until:
                    raise FrontEndError(f"GET {path}: the answer takes more than {_LONGEST_S} s")
        if response.length:
            raise FrontEndError(f"GET {path}: the answer breaks off")
        return bytes(body)

    def document(self, path: str) -> Any:
        """Return the parsed JSON of a successful answer.

        Raises:
            FrontEndError: when there is none.
        """
        try:
            return json.loads(self.text(path))
        except (ValueError, RecursionError) as error:
            raise FrontEndError(f"GET {path}: the answer is not JSON") from error

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        begins_s: float | None = TIMEOUT_S,
        sent: Callable[[], None] = lambda: None,
    ) -> Iterator[Iterator[bytes]]:
        """Open a stream without an end; yields its chunks as they come.

        Args:
            path: Its path.
            begins_s: Seconds to wait for its beginning; None: without a limit.
            sent: Called once the request is sent (default: nothing).

        Raises:
            FrontEndError: when it does not begin, or breaks off.
        """
        with self._open(path, begins_s=begins_s, next_s=None, sent=sent) as response:
            yield self._chunks(path, response)

    @staticmethod
    def _chunks(path: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while chunk := response.read1(_CHUNK_BYTES):
                yield chunk
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise FrontEndError(f"GET {path}: {_reason(error)}") from error

    @contextmanager
    def _open(
        self,
        path: str,
        *,
        begins_s: float | None,
        next_s: float | None,
        sent: Callable[[], None] = lambda: None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            try:
                connection.connect()
                connection.sock.settimeout(begins_s)
                _keep_alive(connection.sock)
                connection.request("GET", path, headers=self._headers())
                sent()
                # An answer without a length takes the socket over.
                sock = connection.sock
                response = connection.getresponse()
                sock.settimeout(next_s)
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise FrontEndError(f"GET {path}: {_reason(error)}") from error
            if response.status != 200:
                raise FrontEndError(f"GET {path}: status {response.status}")
            yield response
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self.is_https:
            return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=TIMEOUT_S, context=context
        )

    def _headers(self) -> dict[str, str]:
        if self.key_file is not None:
            key = self.key_file.read_text(encoding="ascii").strip()
        else:
            key = os.environ.get(KEY_VARIABLE, "")
        return {"Authorization": f"Bearer {key}"} if key else {}


def _keep_alive(connection: socket.socket) -> None:
    """Notice within half a minute that the other side is gone, though nothing is sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        with contextlib.suppress(AttributeError, OSError):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _reason(error: Exception) -> str:
    # Its text may quote what the other side sent, the key never.
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, UnicodeError):
        return "the API key is not ASCII"
    text = " ".join(str(error).split())[:200]
    return "".join(letter if letter.isprintable() else "?" for letter in text) or (
        type(error).__name__
    )
