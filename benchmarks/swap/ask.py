"""Streamed answers of a model, each on its own connection, and clients that never pause.

Connections are not reused: llama-server's router may close one that waited for a load.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from typing import Self

from ops.endpoint.api_key import authorization
from ops.endpoint.pictures import data_uri, solid_picture

_PICTURE = data_uri(solid_picture("red", size_px=32))
LONG_TOKENS = 3000
"""Tokens of a stream that outlasts the swap: about 2 s of a tiny model."""


class RefusedError(Exception):
    """No token came: the status was not 200, or the stream ended without one."""


class Answer:
    """One streamed answer about a picture."""

    def __init__(self, port: int, model: str, *, max_tokens: int = 8, timeout_s: float = 60):
        """Connect; nothing is asked yet.

        Args:
            port: On 127.0.0.1.
            model: The model to ask.
            max_tokens: The exact length of the answer (default: 8).
            timeout_s: Seconds without a byte until TimeoutError (default: 60).
        """
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._connection.connect()
        self._socket: socket.socket = self._connection.sock
        self._response: http.client.HTTPResponse | None = None
        self._model = model
        self._max_tokens = max_tokens

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def first_token(self) -> float:
        """Ask, and wait for the first token.

        Returns:
            When it came, in seconds of `time.monotonic`.

        Raises:
            RefusedError: when none came.
            OSError: for a broken connection or a timeout.
        """
        headers = {"Content-Type": "application/json", **authorization()}
        self._connection.request("POST", "/v1/chat/completions", self._body(), headers)
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            text = self._response.read(300).decode(errors="replace")
            raise RefusedError(f"{self._model}: {self._response.status} {text}")
        for line in self._response:
            if line.startswith(b"data: {") and _has_token(line):
                return time.monotonic()
        raise RefusedError(f"{self._model}: the stream ended without a token")

    def rest(self) -> None:
        """Read the answer to its end."""
        if self._response is not None:
            self._response.read()

    def hang_up(self) -> None:
        """Disconnect; another thread that waits for the answer gets an error."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnect, even in the middle of an answer."""
        self.hang_up()
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def _body(self) -> str:
        content = [
            {"type": "text", "text": "What is in this picture?"},
            {"type": "image_url", "image_url": {"url": _PICTURE}},
        ]
        return json.dumps(
            {
                "model": self._model,
                "stream": True,
                "max_tokens": self._max_tokens,
                "ignore_eos": True,
                "messages": [{"role": "user", "content": content}],
            }
        )


def _has_token(line: bytes) -> bool:
    choices = json.loads(line[6:]).get("choices") or [{}]
    return bool(choices[0].get("delta", {}).get("content"))


class Clients:
    """Clients that ask one model in a closed loop."""

    def __init__(self, port: int, model: str, count: int):
        """Prepare them; they ask while the context lasts."""
        self.answered = 0
        self.failed = 0
        self._port = port
        self._model = model
        self._over = threading.Event()
        self._counting = threading.Lock()
        self._asking: set[Answer] = set()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        for answer in tuple(self._asking):
            answer.hang_up()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                self._ask_once()
            except (OSError, RefusedError, http.client.HTTPException):
                with self._counting:
                    self.failed += 0 if self._over.is_set() else 1
                self._over.wait(0.05)

    def _ask_once(self) -> None:
        with Answer(self._port, self._model, max_tokens=32) as answer:
            self._asking.add(answer)
            try:
                # `__exit__` may have hung up on the other clients already.
                if not self._over.is_set():
                    answer.first_token()
                    answer.rest()
                    with self._counting:
                        self.answered += 1
            finally:
                self._asking.discard(answer)
