"""Clients that ask the models at random, and what became of each request."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.gateway.doors import CLIENTS, Caller, Door
from benchmarks.swap.tables import p50, p95
from ops.endpoint.pictures import data_uri, solid_picture

_PAUSE_S = 0.2
"""The longest pause of a client after an answer."""
_TIMEOUT_S = 120
_PICTURE = data_uri(solid_picture("red", size_px=32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one request."""

    status: str
    """The HTTP status, or the error where no answer came."""
    wait_s: float
    """Seconds from the request to the end of the answer."""
    retry_after_s: float | None = None
    """When the client may ask again: the answer is a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What the clients of one round saw, and what it cost."""

    outcomes: tuple[Outcome, ...]
    swaps: int

    @property
    def waits_s(self) -> list[float]:
        """The waits of the answered requests."""
        return [outcome.wait_s for outcome in self.outcomes if outcome.status == "200"]

    @property
    def refused(self) -> int:
        """Requests that were told when to ask again."""
        return sum(outcome.retry_after_s is not None for outcome in self.outcomes)

    @property
    def errors(self) -> Counter[str]:
        """Requests that were neither answered nor refused, by status."""
        return Counter(
            outcome.status
            for outcome in self.outcomes
            if outcome.status != "200" and outcome.retry_after_s is None
        )

    @property
    def p50_s(self) -> float:
        """Median of the waits."""
        return p50(self.waits_s)

    @property
    def p95_s(self) -> float:
        """The wait that 95 % do not exceed."""
        return p95(self.waits_s)


def run_clients(door: Door, *, seconds: float, seed: str) -> Round:
    """Let the clients ask for a while, each in a closed loop.

    Args:
        door: Where they ask.
        seconds: How long; requests in flight are then awaited.
        seed: Equal seeds make equal requests.
    """
    before = door.loads()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(max_workers=CLIENTS) as pool:
        asked = [
            pool.submit(
                _ask_until,
                end,
                door,
                door.callers[number % len(door.callers)],
                random.Random(f"{seed} {number}"),
            )
            for number in range(CLIENTS)
        ]
        outcomes = tuple(outcome for client in asked for outcome in client.result())
    return Round(outcomes=outcomes, swaps=door.loads() - before)


def _ask_until(end: float, door: Door, caller: Caller, chance: random.Random) -> list[Outcome]:
    outcomes = []
    while time.monotonic() < end:
        body = chat(chance.choice(caller.models), _PICTURE if chance.random() < 1 / 3 else None)
        outcome = ask(door, caller.key, body)
        outcomes.append(outcome)
        pause_s = chance.uniform(0, _PAUSE_S) + (outcome.retry_after_s or 0)
        time.sleep(max(0, min(pause_s, end - time.monotonic())))
    return outcomes


def ask(
    door: Door, key: str, body: bytes, connection: http.client.HTTPConnection | None = None
) -> Outcome:
    """Send one request and read its answer.

    Args:
        door: Where.
        key: The client's key.
        body: The request.
        connection: An open connection (default: a new one).
    """
    one = connection or http.client.HTTPConnection("127.0.0.1", door.port, timeout=_TIMEOUT_S)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    started = time.monotonic()
    try:
        one.request("POST", "/v1/chat/completions", body, headers)
        answer = one.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return Outcome(status=type(error).__name__, wait_s=time.monotonic() - started)
    finally:
        if connection is None:
            one.close()
    wait_s = time.monotonic() - started
    retry_after = answer.getheader("Retry-After") if answer.status in (429, 503) else None
    return Outcome(
        status=str(answer.status),
        wait_s=wait_s,
        retry_after_s=None if retry_after is None else float(retry_after),
    )


def chat(model: str, picture: str | None) -> bytes:
    """Return the body of a chat request for eight tokens.

    Args:
        model: The model's name.
        picture: A data URI; None: text only.
    """
    content: list[object] = [{"type": "text", "text": "What is in this picture?"}]
    if picture is not None:
        content.append({"type": "image_url", "image_url": {"url": picture}})
    request = {
        "model": model,
        "max_tokens": 8,
        "ignore_eos": True,
        "messages": [{"role": "user", "content": content}],
    }
    return json.dumps(request).encode()
