"""Answers that come before the first byte: a swap of the router, and a load that fails.

Nothing of them has reached the client, so the request can be sent again, or get the same 503 as
one that was refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .admission import Admission
from .asgi_types import Message, Send
from .failed_load import failed_load

_MOST_BYTES = 65_536
"""Of an error that is held back; errors are short."""
_HELD = (400, 500, 502, 503)
_SWAPPING = re.compile(r"model name=\S+ is not running")
"""The router's 400 to a request that comes amid a swap."""


@dataclass(slots=True)
class _Held:
    """Holds an error back until it is complete; everything else passes at once."""

    send: Send
    messages: list[Message] | None = None
    passed: bool = False

    async def __call__(self, message: Message) -> None:
        if not self.passed and message["type"] == "http.response.start":
            if message["status"] in _HELD:
                self.messages = [message]
                return
            self.passed = True
        if self.messages is None:
            await self.send(message)
            return
        self.messages.append(message)
        if len(self.body) > _MOST_BYTES:
            await self.release()

    @property
    def status(self) -> int:
        return self.messages[0]["status"] if self.messages else 200

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages or ())

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    async def release(self) -> None:
        held, self.messages, self.passed = self.messages or (), None, True
        for message in held:
            await self.send(message)


async def answer(
    admission: Admission,
    consumer: str,
    model: str,
    call: Callable[[Send], Awaitable[None]],
    send: Send,
) -> None:
    """Admit a request and answer it.

    Args:
        admission: Decides whether it may be passed on.
        consumer: Who asks.
        model: The id of the model.
        call: Passes the request on; may be called twice.
        send: Takes the answer.

    Raises:
        RefusedError: when the request is refused, or its model could not be loaded.
    """
    async with admission.of(consumer, model):
        held = _Held(send)
        await call(held)
        if held.status == 400 and _SWAPPING.search(held.text):
            admission.counts.retried(model)
            held = _Held(send)
            await call(held)
        failure = failed_load(held.text) if held.status >= 500 else None
        if failure:
            raise await admission.failed(consumer, model, failure)
        await held.release()
