"""Read, pause and resume Immich's queues."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..kubernetes.api import Document, Say
from ..kubernetes.asking import ask, direct_opener, message_of
from .contract import NO_ACCESS
from .errors import WindowError
from .patient import Patient
from .timing import Timing
from .tls import client_context

_KEY = re.compile(r"[!-~]+")
_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue of Immich's jobs."""

    is_paused: bool
    active: int
    """Running jobs, which finish when the queue is paused."""


class Immich:
    """Immich's queues, through the API of Immich 2.4 or the earlier one."""

    def __init__(self, url: str, key: str, *, say: Say, timing: Timing | None = None) -> None:
        """Send no request yet.

        Args:
            url: Immich's address, with or without `/api`.
            key: An administrator's API key.
            say: Prints a line.
            timing: Time limits (default: those for a real Immich).

        Raises:
            WindowError: when the address, the key or SSL_CERT_FILE is invalid.
        """
        if not _ADDRESS.fullmatch(url):
            raise WindowError(
                "IMMICH_URL is invalid; expected an address such as http://immich-server:2283"
            )
        # A Secret made from a file ends in a newline.
        key = key.strip()
        if not _KEY.fullmatch(key):
            raise WindowError(
                "IMMICH_API_KEY is invalid; expected printable ASCII without spaces", NO_ACCESS
            )
        self._url = url.rstrip("/").removesuffix("/api")
        self._key = key
        timing = timing or Timing()
        self._api = Patient(
            self._ask,
            f"Immich at {self._url}",
            patience_s=timing.immich_patience_s,
            poll_s=timing.poll_s,
            say=say,
        )
        try:
            self._opener = direct_opener(client_context() if url.startswith("https") else None)
        except ValueError as error:
            raise WindowError(str(error)) from error
        self._is_old = False

    def queues(self) -> dict[str, Queue]:
        """Read every queue.

        Raises:
            WindowError: when Immich refuses the key or does not answer.
        """
        status, answer = self._api.request("GET", self._paths)
        if status == 404 and not self._is_old:
            self._is_old = True
            status, answer = self._api.request("GET", self._paths)
        self._check(status, answer)
        try:
            if self._is_old:
                return {
                    name: _queue(queue["queueStatus"]["isPaused"], queue["jobCounts"]["active"])
                    for name, queue in answer.items()
                }
            return {
                queue["name"]: _queue(queue["isPaused"], queue["statistics"]["active"])
                for queue in answer
            }
        except (LookupError, TypeError, AttributeError) as error:
            raise WindowError(f"{self._url} does not answer like Immich") from error

    def set_paused(self, name: str, paused: bool) -> None:
        """Pause or resume a queue; running jobs continue."""
        command = {"command": "pause" if paused else "resume"}
        body = command if self._is_old else {"isPaused": paused}
        status, answer = self._api.request("PUT", f"{self._paths}/{quote(name)}", body)
        if status == 404 and not self._is_old:
            self._is_old = True
            self.set_paused(name, paused)
            return
        self._check(status, answer)

    @property
    def _paths(self) -> str:
        return "/api/jobs" if self._is_old else "/api/queues"

    def _check(self, status: int, answer: object) -> None:
        if status in (401, 403):
            needed = "job.read and job.create" if self._is_old else "queue.read and queue.update"
            raise WindowError(
                f"Immich at {self._url} refuses IMMICH_API_KEY ({status}: {_reason(answer)}); "
                f"expected an administrator's key with {needed}",
                NO_ACCESS,
            )
        if status >= 300:
            raise WindowError(f"Immich at {self._url} answers {status}: {_reason(answer)}")

    def _ask(self, method: str, path: str, body: Document | None) -> tuple[int, Any]:
        headers = {"x-api-key": self._key, "Accept": "application/json"}
        status, answer, _ = ask(self._opener, method, self._url + path, headers, body)
        return status, answer


def _queue(is_paused: object, active: object) -> Queue:
    if not isinstance(is_paused, bool) or type(active) is not int or active < 0:
        raise TypeError("not a queue of Immich")
    return Queue(is_paused=is_paused, active=active)


def _reason(answer: object) -> str:
    """Return an error's message with the reasons that Immich 3 lists beside it."""
    issues = answer.get("errors") if isinstance(answer, dict) else None
    reasons = [
        str(issue["message"])
        for issue in (issues if isinstance(issues, list) else ())
        if isinstance(issue, dict) and "message" in issue
    ]
    return " ".join(", ".join([message_of(answer), *reasons]).split())[:300]
