"""Follow llama-swap: its events, its answers, its gauges. Nothing here loads a model.

`/api/events` sends every change of a model, every request in flight, and every line of the logs.
Of an answer it tells only the number; `/api/metrics/activity` has the rest.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from .card import parse_gauges
from .client import Client, FrontEndError
from .json_values import as_dict, as_list, as_number, as_text
from .lines import Lines
from .requests import Answer
from .timing import Timing
from .watch import Flying, Watch

_LARGEST_EVENT_BYTES = 1 << 20
_LOG = b'data:{"type":"logData"'
# One event has one message, so a client cannot write these into a path that another one quotes.
_FAILED = re.compile(r"\[WARN\] \S{1,40}: starting (\S{1,200}) failed: (.{0,300})", re.DOTALL)
_EXITED = re.compile(r"\[WARN\] <([^>]{1,200})> upstream process exited unexpectedly\n")
_NOTEWORTHY = (b" failed: ", b"exited unexpectedly")
_PAGE, _LONGEST_PAGE = 50, 999


class LlamaSwap:
    """Reads llama-swap, and tells the watch."""

    def __init__(self, client: Client, watch: Watch, timing: Timing) -> None:
        """Send no request yet."""
        self._client = client
        self._watch = watch
        self._timing = timing
        self._has_begun = False
        """Whether the events' first part, with the stored logs, has ended."""
        self._announced = 0
        """Answers that the events announced; only their reader changes it."""
        self._asked = 0
        """How many of those the last request for answers covered."""
        self._last: tuple[int, str] | None = None
        """Number and time of the newest answer that was counted; None before the first look."""
        self._is_open = threading.Event()

    def follow(self) -> None:
        """Read events until they break off.

        Raises:
            FrontEndError: when they do, or do not begin.
        """
        lines = Lines(_LARGEST_EVENT_BYTES)
        self._has_begun = False
        version = as_dict(self._client.document("/api/version")).get("version")
        with self._client.stream("/api/events") as chunks:
            self._resume()
            self._watch.connected(str(version))
            self._is_open.set()
            try:
                for chunk in chunks:
                    for line in self._watch.lines(lines, chunk):
                        self._line(line)
            finally:
                self._is_open.clear()
        raise FrontEndError("the front end ended its events")

    def poll(self, stop: threading.Event) -> None:
        """Ask for new answers and gauges, while events are followed, until `stop` is set."""
        answers_at = gauges_at = 0.0
        while not stop.wait(self._timing.tick_s):
            self._watch.settle()
            if not self._is_open.is_set():
                continue
            now = time.monotonic()
            try:
                if self._announced > self._asked and now - answers_at >= self._timing.answers_s:
                    answers_at = now
                    self._answers()
                if now - gauges_at >= self._timing.gauges_s:
                    gauges_at = now
                    gauges = self._client.text("/metrics")
                    cards = self._watch.plan.card_labels
                    for card, (used, total) in parse_gauges(gauges, cards).items():
                        self._watch.gpu(used, total, card)
            except FrontEndError:
                # The events say whether the front end is gone; a later try gets the rest.
                continue

    def _line(self, line: bytes) -> None:
        if line.startswith(_LOG):
            is_wanted = self._watch.is_loading or any(word in line for word in _NOTEWORTHY)
            if not (self._has_begun and is_wanted):
                return
        try:
            envelope = as_dict(json.loads(line[5:]))
            data = as_text(envelope.get("data"))
            kind = envelope.get("type")
            if kind == "modelStatus":
                self._watch.model_states(_states(json.loads(data)))
            elif kind == "inflight":
                self._in_flight(as_dict(json.loads(data)))
            elif kind == "activity":
                self._announced += 1
            elif kind == "logData":
                self._log(as_dict(json.loads(data)))
        except (ValueError, RecursionError):
            self._watch.dropped("event")

    def _in_flight(self, update: dict[str, Any]) -> None:
        operation = update.get("operation")
        if operation == "upsert":
            self._watch.request(_flying(as_dict(update.get("request"))))
        elif operation == "remove":
            self._watch.request_ended(as_text(update.get("id")))
        elif operation == "snapshot":
            self._has_begun = True
            self._watch.requests(map(_flying, map(as_dict, as_list(update.get("requests")))))

    def _log(self, entry: dict[str, Any]) -> None:
        text = as_text(entry.get("data"))
        if entry.get("source") != "proxy":
            self._watch.engine_log(text)
            return
        if failed := _FAILED.match(text):
            self._watch.load_failed(failed[1], failed[2])
        elif exited := _EXITED.fullmatch(text):
            self._watch.crashed(exited[1])

    def _resume(self) -> None:
        """Find out which answers are new: all of a front end that was restarted."""
        rows = self._rows(_PAGE)
        if self._last is None:
            self._last = _newest(rows) or (0, "")
            for row in rows:
                if _answer(row).result == "200":
                    self._watch.answered_at(_moment(row))
            return
        if self._last not in map(_identity, rows):
            # The numbers of a new process begin again.
            self._last = (0, "")
        self._announced += len(rows)

    def _answers(self) -> None:
        announced = self._announced
        rows = self._rows(min(_LONGEST_PAGE, announced - self._asked + _PAGE))
        self._asked = announced
        last = self._last or (0, "")
        new = [row for row in rows if _identity(row)[0] > last[0]]
        self._last = _newest(new) or last
        if new:
            missed = self._last[0] - last[0] - len(new)
            self._watch.dropped("answer", max(0, missed))
        self._watch.answers(map(_answer, new))

    def _rows(self, count: int) -> list[dict[str, Any]]:
        page = self._client.document(f"/api/metrics/activity?limit={count}&sort=id&order=desc")
        return [row for row in map(as_dict, as_list(as_dict(page).get("data"))) if "id" in row]


def _states(models: Any) -> Iterator[tuple[str, str]]:
    for model in map(as_dict, as_list(models)):
        yield as_text(model.get("id")), as_text(model.get("state"))


def _flying(entry: dict[str, Any]) -> Flying:
    return Flying(
        id=as_text(entry.get("id"))[:40],
        model=as_text(entry.get("model")),
        path=as_text(entry.get("req_path"))[:200],
        elapsed_s=as_number(entry.get("elapsed_ms")) / 1000,
        is_answered=bool(entry.get("resp_headers")),
    )


def _answer(row: dict[str, Any]) -> Answer:
    tokens = as_dict(row.get("tokens"))
    return Answer(
        model=as_text(row.get("model")),
        path=as_text(row.get("req_path"))[:200],
        status=int(as_number(row.get("resp_status_code"))),
        media_type=as_text(row.get("resp_content_type")).partition(";")[0].strip(),
        seconds=as_number(row.get("duration_ms")) / 1000,
        prompt_tokens=int(as_number(tokens.get("input_tokens"))),
        cached_tokens=int(as_number(tokens.get("cache_tokens"))),
        generated_tokens=int(as_number(tokens.get("output_tokens"))),
        prompt_per_second=as_number(tokens.get("prompt_per_second")),
        generated_per_second=as_number(tokens.get("tokens_per_second")),
    )


def _identity(row: dict[str, Any]) -> tuple[int, str]:
    return int(as_number(row.get("id"))), as_text(row.get("timestamp"))


def _newest(rows: Iterable[dict[str, Any]]) -> tuple[int, str] | None:
    return max(map(_identity, rows), default=None)


def _moment(row: dict[str, Any]) -> float:
    try:
        moment = datetime.fromisoformat(as_text(row.get("timestamp"))).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return min(moment, time.time())
