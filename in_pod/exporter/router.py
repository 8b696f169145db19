"""Follow llama-server's router. Nothing here loads a model.

`/models/sse` sends the changes of the models, `/models` their states. The router does not tell
which requests wait or how they end; each llama-server's own counters tell its tokens.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from .client import Client, FrontEndError
from .json_values import as_dict, as_list, as_text
from .lines import Lines
from .timing import Timing
from .watch import Watch

_LARGEST_EVENT_BYTES = 1 << 20
_EVENTS_S = 5.0
"""The longest wait for the request of the events; then the list alone tells the changes."""
_STATES = {
    "unloaded": "stopped",
    "loading": "starting",
    "loaded": "ready",
    "sleeping": "sleeping",
}
_METRICS_BUILD = 11434
"""The first build that was seen to answer `/metrics` without resetting the model's idle clock."""
_BUILD = re.compile(r"b(\d{1,9})-")
_COUNTERS = {
    "prompt_tokens_total": "prompt",
    "prompt_tokens_cached_total": "cached",
    "tokens_predicted_total": "generated",
    "requests_processing": "processing",
    "requests_deferred": "deferred",
}
_REQUESTS = ("processing", "deferred")
_COUNTER = re.compile(
    rb"^llamacpp:([a-z_]{1,60}) ([0-9]{1,15}(?:\.[0-9]{1,15})?(?:e\+0?[0-9])?)$", re.MULTILINE
)


class Router:
    """Reads the router, and tells the watch."""

    def __init__(self, client: Client, watch: Watch, timing: Timing) -> None:
        """Send no request yet."""
        self._client = client
        self._watch = watch
        self._timing = timing
        self._asked = threading.Event()
        """Whether the events are asked for. They alone tell changes then: the list is ahead of
        events that are on their way, and never has a load that fails at once."""
        self._tells_tokens = False
        self._tokens: dict[str, dict[str, float] | None] = {}
        """Model -> its counters at the last look; None before the first one."""

    def follow(self) -> None:
        """Read states until the router does not answer.

        Raises:
            FrontEndError: when it does not.
        """
        build = as_text(as_dict(self._client.document("/props")).get("build_info"))
        number = _BUILD.match(build)
        self._tells_tokens = number is not None and int(number[1]) >= _METRICS_BUILD
        tokens_at = 0.0
        self._asked.wait(_EVENTS_S)
        while True:
            states = dict(_states(self._client.document("/models")))
            self._watch.connected(build)
            if tokens_at == 0:
                # What these have counted so far is not new.
                running = (name for name, state in states.items() if state != "stopped")
                self._tokens = dict.fromkeys(running)
            if self._asked.is_set():
                self._watch.first_states(states.items())
            else:
                self._watch.model_states(states.items())
            now = time.monotonic()
            if self._tells_tokens and now - tokens_at >= self._timing.gauges_s:
                tokens_at = now
                self._read_tokens(states)
            time.sleep(self._timing.states_s)

    def poll(self, stop: threading.Event) -> None:
        """Finish loads whose reason does not come, until `stop` is set."""
        threading.Thread(target=self._events, args=(stop,), daemon=True).start()
        while not stop.wait(self._timing.tick_s):
            self._watch.settle()

    def _events(self, stop: threading.Event) -> None:
        # An older router has no events: then the list of states alone tells the changes, later.
        while not stop.is_set():
            with suppress(FrontEndError):
                self._follow_events()
            self._asked.clear()
            stop.wait(self._timing.states_s)

    def _follow_events(self) -> None:
        lines = Lines(_LARGEST_EVENT_BYTES)
        # The router answers with its first event, which may come in a day.
        with self._client.stream("/models/sse", begins_s=None, sent=self._asked.set) as chunks:
            for chunk in chunks:
                for line in self._watch.lines(lines, chunk):
                    self._line(line)

    def _line(self, line: bytes) -> None:
        try:
            event = as_dict(json.loads(line[5:]))
        except (ValueError, RecursionError):
            self._watch.dropped("event")
            return
        name = as_text(event.get("model"))
        data = as_dict(event.get("data"))
        state = _STATES.get(as_text(data.get("status")))
        if state is None:
            return
        if state == "stopped":
            self._tokens.pop(name, None)
        was = self._watch.state_of(name)
        self._watch.model_states([(name, state)])
        if state == "stopped" and data.get("exit_code") not in (0, None):
            if was == "starting":
                self._watch.load_failed(name, "")
            elif was == "ready":
                self._watch.crashed(name)

    def _read_tokens(self, states: dict[str, str]) -> None:
        """Count the tokens of loaded models since the last look, and their requests."""
        in_flight = dict.fromkeys(states, 0)
        for name, state in states.items():
            if state != "ready":
                continue
            query = urlencode({"model": name, "autoload": "false"})
            try:
                counters = _counters(self._client.text(f"/metrics?{query}"))
            except FrontEndError:
                continue  # It was unloaded meanwhile.
            in_flight[name] = int(sum(counters.pop(key, 0.0) for key in _REQUESTS))
            before = self._tokens.get(name, {})
            self._tokens[name] = counters
            if before is not None:
                self._watch.tokens(name, _increase(before, counters))
        self._watch.in_flight(in_flight)


def _counters(text: bytes) -> dict[str, float]:
    return {
        _COUNTERS[name.decode()]: float(digits)
        for name, digits in _COUNTER.findall(text)
        if name.decode() in _COUNTERS
    }


def _increase(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    # A new process counts from 0.
    is_new = any(after.get(kind, 0.0) < count for kind, count in before.items())
    return {
        kind: count - (0.0 if is_new else before.get(kind, 0.0)) for kind, count in after.items()
    }


def _states(answer: Any) -> Iterator[tuple[str, str]]:
    for model in map(as_dict, as_list(as_dict(answer).get("data"))):
        value = as_text(as_dict(model.get("status")).get("value"))
        yield as_text(model.get("id")), _STATES.get(value, "unknown")
