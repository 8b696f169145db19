"""What serves a model, and what it is asked before any photo."""

from __future__ import annotations

import io
import json

from PIL import Image

from ops.smoke.endpoint import Endpoint, at
from ops.smoke.outcome import CheckError

_TIMEOUT_S = 10


def command_of(endpoint: Endpoint, model: str) -> str | None:
    """Find the command line of a model's llama-server, without its keys; None: not told."""
    try:
        running = at(json.loads(endpoint.get("/running", timeout_s=_TIMEOUT_S).text), "running")
    except (CheckError, ValueError, RecursionError):
        return None
    for each in running if isinstance(running, list) else []:
        words = str(at(each, "cmd") or "").split()
        if at(each, "model") == model and words:
            for place, word in enumerate(words):
                if "key" in word.lower():
                    words[place] = word.partition("=")[0]
                    if place + 1 < len(words) and "=" not in word:
                        words[place + 1] = "***"
            return " ".join(words)
    return None


def warm_up_pictures(count: int) -> list[bytes]:
    """Make pictures for a warm-up, which are nobody's photo."""
    content = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(content, "JPEG")
    return [content.getvalue()] * count
