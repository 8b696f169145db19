"""Forward llama-server's own paths to the endpoint, which LiteLLM does not have."""

from __future__ import annotations

import asyncio

import httpx2

from .asgi_types import Receive, Send
from .paths import endpoint_path
from .policy import Endpoint
from .refusal import RefusedError
from .responses import send_refusal

_CONNECT_S = 5
_PASSED = ("content-type", "retry-after")


class Native:
    """The endpoint behind the gateway."""

    def __init__(self, endpoint: Endpoint, key: str) -> None:
        """Connect on the first request.

        Args:
            endpoint: Where it is.
            key: Its own key; empty: it has none.
        """
        self._endpoint = endpoint
        headers = {"content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        if endpoint.front_end == "llama-server":
            # The router closes connections that it said it would keep.
            headers["connection"] = "close"
        self._client = httpx2.AsyncClient(
            base_url=endpoint.url,
            headers=headers,
            timeout=httpx2.Timeout(endpoint.timeout_s, connect=_CONNECT_S),
            limits=httpx2.Limits(max_connections=None),
            trust_env=False,
        )

    async def forward(
        self, path: str, model: str, body: bytes, receive: Receive, send: Send
    ) -> None:
        """Answer a request as the endpoint does, and cancel it when the client leaves.

        Args:
            path: The request's path.
            model: The id of its model.
            body: Its body.
            receive: Says when the client has left.
            send: Takes the answer.
        """
        answer = asyncio.create_task(self._answer(path, model, body, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answer.done():
                answer.cancel()
        try:
            await answer
        except asyncio.CancelledError:
            if not leaving.done() or leaving.cancelled():
                raise

    async def _answer(self, path: str, model: str, body: bytes, send: Send) -> None:
        where = endpoint_path(path, model, self._endpoint.front_end)
        started = False
        try:
            async with self._client.stream("POST", where, content=body) as response:
                passed = [
                    (name.encode(), response.headers[name].encode("latin-1"))
                    for name in _PASSED
                    if name in response.headers
                ]
                started = True
                await send(
                    {
                        "type": "http.response.start",
                        "status": response.status_code,
                        "headers": passed,
                    }
                )
                async for chunk in response.aiter_bytes():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx2.HTTPError as error:
            if started:
                # The answer is cut off, and the client's connection with it.
                raise
            # An answer, as LiteLLM gives for its paths: what passed the request on may replace it.
            await send_refusal(_unanswered(error), path, send)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _unanswered(error: httpx2.HTTPError) -> RefusedError:
    kind = type(error).__name__
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return RefusedError(502, "endpoint_broken", f"Cannot connect to host ({kind})")
    if isinstance(error, httpx2.TimeoutException):
        return RefusedError(504, "endpoint_timeout", f"the endpoint does not answer ({kind})")
    return RefusedError(502, "endpoint_broken", f"the endpoint broke off ({kind})")


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
