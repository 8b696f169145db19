"""Play sizes, unload models and read refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

from tests.real.gateway.gateway import Gateway


def sized(policy: str, sizes: Mapping[str, int]) -> str:
    """Give models of a rendered policy other sizes in MiB."""
    document = json.loads(policy)
    for name, mib in sizes.items():
        document["models"][name]["vram_mib"] = mib
    return json.dumps(document)


def unload(running: Gateway) -> None:
    """Unload every model, as an operator does."""
    # The router closes connections that it said it would keep.
    fresh = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(
        base_url=running.served.url, trust_env=False, timeout=30, limits=fresh
    ) as client:
        if running.served.front_end == "llama-swap":
            client.post("/api/models/unload")
        for name in running.served.models:
            client.post("/models/unload", json={"model": name})


def refusal(answer: httpx2.Response) -> dict[str, Any]:
    """Return the error of a refusal, after checking its form."""
    assert answer.status_code == 503, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert "\n" not in error["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert error.keys() >= {"code", "model", "mib_needed", "mib_free", "holder"}
    return error
