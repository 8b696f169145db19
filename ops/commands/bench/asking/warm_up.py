"""The warm-up before the first photo: it loads the model, and shows what serves it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ops.commands.bench.asking.exchange import Exchange
from ops.commands.bench.asking.label_tokens import label_tokens
from ops.commands.bench.asking.methods import Prompt
from ops.endpoint.client import Endpoint, at
from ops.endpoint.errors import CheckError
from ops.report.redaction import redact_all

_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """The result of a warm-up."""

    exchange: Exchange
    token_ids: Mapping[str, int]
    """Label -> its token in this model; empty: labels match by text, or there was no answer."""
    engine: Mapping[str, Any]
    """What serves the model, as far as the endpoint tells."""


def warm_up(
    model: str, prompt: Prompt, *, endpoint: Endpoint, ask: Callable[[bytes], Exchange]
) -> WarmUp:
    """Ask about a neutral picture, and check that the model can answer with the labels.

    Raises:
        LabelError: when a label is not one token.
    """
    pictures = [_picture()] * prompt.images
    exchange = ask(json.dumps(prompt.body(model, pictures)).encode())
    if exchange.failure is not None:
        return WarmUp(exchange=exchange, token_ids={}, engine={})
    token_ids = label_tokens(endpoint, model, tuple(prompt.values), exchange.document)
    engine = {
        "system_fingerprint": at(exchange.document, "system_fingerprint"),
        "label_tokens": token_ids,
        "command": _command(endpoint, model),
    }
    return WarmUp(exchange=exchange, token_ids=token_ids, engine=engine)


def _picture() -> bytes:
    content = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(content, "JPEG")
    return content.getvalue()


def _command(endpoint: Endpoint, model: str) -> str | None:
    """Return the command line of a model's llama-server, redacted; None: not known."""
    try:
        running = at(json.loads(endpoint.get("/running", timeout_s=_TIMEOUT_S).text), "running")
    except (CheckError, ValueError, RecursionError):
        return None
    for entry in running if isinstance(running, list) else []:
        words = str(at(entry, "cmd") or "").split()
        if at(entry, "model") == model and words:
            return " ".join(redact_all(words))
    return None
