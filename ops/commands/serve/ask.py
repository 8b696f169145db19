"""Ask each served model about a picture, and measure the swap and the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

from ops.commands.serve.run import Served
from ops.endpoint.api_key import authorization
from ops.endpoint.client import CHAT
from ops.endpoint.pictures import data_uri, solid_picture
from ops.errors import OpsError, reason_of
from ops.machine.http_client import http_client

_QUESTION = "What is in this picture?"
_MAX_TOKENS = 24
_TIMEOUT_S = 300
"""Seconds for a load and an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's answer and its times."""

    model: str
    text: str
    swap_s: float
    """Seconds before the model worked: the previous model ended, this one loaded."""
    answer_s: float
    """Seconds for the picture and the tokens, as the model itself reports them."""


def ask_each(served: Served) -> Iterator[Answer]:
    """Ask each model about a red square, one model after another.

    Args:
        served: The running front end.

    Raises:
        OpsError: when a model does not answer.
    """
    headers = authorization("" if served.key is None else served.key.read())
    for model in served.models:
        started = time.monotonic()
        try:
            # No connection is reused: llama-server's router may close one that waited for a load.
            with http_client(headers=headers, timeout=_TIMEOUT_S) as client:
                response = client.post(f"{served.url}{CHAT}", json=_request(model))
            response.raise_for_status()
            body = response.json()
            text = body["choices"][0]["message"]["content"]
            timings = body["timings"]
            answer_s = (timings["prompt_ms"] + timings["predicted_ms"]) / 1000
        except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
            reason = reason_of(error, limit=200)
            raise OpsError(
                f"model {model!r} did not answer about a picture ({reason}); see the log "
                f"{served.log}"
            ) from error
        elapsed_s = time.monotonic() - started
        yield Answer(model=model, text=text, swap_s=elapsed_s - answer_s, answer_s=answer_s)


def curl_command(served: Served) -> str:
    """Return the same request as a curl command, which reads the key from its variable or file."""
    key = f' -H "Authorization: Bearer {served.key.in_shell}"' if served.key else ""
    return (
        f"curl -s --noproxy 127.0.0.1 {served.url}{CHAT} -H 'Content-Type: application/json'{key} "
        f"-d '{json.dumps(_request(served.models[0]))}'"
    )


def _request(model: str) -> dict[str, object]:
    picture = {"url": data_uri(solid_picture("red", size_px=32))}
    return {
        "model": model,
        "max_tokens": _MAX_TOKENS,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": _QUESTION},
                    {"type": "image_url", "image_url": picture},
                ],
            }
        ],
    }
