"""The answer of an endpoint to a question about a picture."""

from __future__ import annotations

import httpx2

from ops.endpoint.client import CHAT
from ops.endpoint.pictures import data_uri, solid_picture


def picture_answer(url: str, model: str) -> str:
    """Ask a model about a red square, and return the text of its answer."""
    picture = {"url": data_uri(solid_picture("red", size_px=32))}
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": picture}]
    answer = httpx2.post(
        f"{url}{CHAT}",
        json={
            "model": model,
            "max_tokens": 8,
            "messages": [{"role": "user", "content": parts}],
        },
        timeout=300,
        trust_env=False,
    )
    answer.raise_for_status()
    return str(answer.json()["choices"][0]["message"]["content"])
