"""Answers that come before the first byte: a swap of the router, and a load that fails.

Nothing of them has reached the client, so the request can be sent again, to the model's next home
too, or get the same 503 as one that was refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from .admission import Admission, NotAdmittedError
from .asgi_types import Message, Send
from .decision import Refusal
from .failed_load import failed_load
from .homes import in_order, not_served

_MOST_BYTES = 65_536
"""Of an error that is held back; errors are short."""
_HELD = (400, 429, 500, 502, 503)
_PAUSES_S = (0.5, 1.0, 2.0)
"""Before a request is sent again that llama-swap refused because it has ten for the model, where
LiteLLM does not do that."""
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


async def estimate(
    pools: Sequence[str], call: Callable[[str, Send], Awaitable[None]], send: Send
) -> None:
    """Pass on the answer of the first pool that gives one, without an admission.

    Args:
        pools: The model's homes.
        call: Passes the request on to a pool.
        send: Takes the answer.
    """
    for pool in pools:
        held = _Held(send)
        await call(pool, held)
        if held.status < 500:
            break
    await held.release()


async def answer(
    homes: Sequence[Admission],
    consumer: str,
    model: str,
    call: Callable[[str, Send], Awaitable[None]],
    send: Send,
) -> None:
    """Admit a request to a home of its model and answer it.

    Args:
        homes: The admissions of the model's pools, its home first.
        consumer: Who asks.
        model: The id of the model.
        call: Passes the request on to a pool, which has admitted it; may be called several times.
        send: Takes the answer.

    Raises:
        RefusedError: when each home refuses the request, or could not load its model.
    """
    arrived = homes[0].clock()
    refusals: dict[str, Refusal] = {}
    for admission in await in_order(homes, model, arrived):
        try:
            async with admission.of(consumer, model, arrived=arrived):
                pauses_s = _PAUSES_S if len(homes) > 1 else ()
                refusal = await _answered_by(admission, model, call, send, pauses_s)
        except NotAdmittedError as error:
            refusal = error.refusal
        if refusal is None:
            return
        refusals[admission.pool.name] = refusal
    homes[0].counts.refused(consumer, model, refusals[homes[0].pool.name].code)
    raise await not_served(model, [(it, refusals[it.pool.name]) for it in homes])


async def _answered_by(
    admission: Admission,
    model: str,
    call: Callable[[str, Send], Awaitable[None]],
    send: Send,
    pauses_s: Sequence[float],
) -> Refusal | None:
    """Pass an answer on, or return why there is none."""
    held = _Held(send)
    await call(admission.pool.name, held)
    for pause_s in pauses_s:
        if held.status != 429:
            break
        await asyncio.sleep(pause_s)
        held = _Held(send)
        await call(admission.pool.name, held)
    if held.status == 400 and _SWAPPING.search(held.text):
        admission.counts.retried(model)
        held = _Held(send)
        await call(admission.pool.name, held)
    failure = failed_load(held.text) if held.status >= 500 else None
    if failure:
        return await admission.failed(model, failure)
    await held.release()
    return None
