"""Ask a server in JSON: once, or again for a while where it does not answer or is in trouble."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from .api import Document, Say
from .contract import TRANSIENT
from .errors import UnansweredError

TIMEOUT_S = 10.0


def ask(
    opener: urllib.request.OpenerDirector,
    method: str,
    url: str,
    headers: dict[str, str],
    body: Document | None,
) -> tuple[int, Any, http.client.HTTPMessage | None]:
    """Ask once: status, answer and headers.

    Raises:
        ConnectionError: when no answer comes.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - http and https alone are let through.
        url, data=data, headers={"Content-Type": "application/json"} | headers, method=method
    )
    try:
        try:
            with opener.open(request, timeout=TIMEOUT_S) as response:
                status, text, fields = response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                status, text, fields = error.code, error.read(), error.headers
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(" ".join(str(reason).split())[:300] or "no answer") from error
    try:
        return status, json.loads(text or b"null"), fields
    except ValueError:
        return status, {"message": text[:300].decode(errors="replace")}, fields


class Patient:
    """Asks again for a while where no answer comes, or one of a server in trouble."""

    def __init__(
        self,
        ask: Callable[[str, str, Document | None], tuple[int, Any]],
        who: str,
        *,
        patience_s: float,
        poll_s: float,
        say: Say,
    ) -> None:
        self._ask, self._who, self._say = ask, who, say
        self._patience_s, self._poll_s = patience_s, poll_s

    def request(
        self, method: str, path: str, body: Document | None = None, *, patiently: bool = True
    ) -> tuple[int, Any]:
        """Ask until there is an answer.

        Raises:
            UnansweredError: when there is none for too long; at once where not `patiently`.
        """
        started, said = time.monotonic(), False
        patience_s = self._patience_s if patiently else 0
        while True:
            try:
                status, answer = self._ask(method, path, body)
                if status < 500 and status != 429:
                    if said:
                        self._say(f"{self._who} answers again")
                    return status, answer
                reason = f"{status}: {message_of(answer)}"
            except ConnectionError as error:
                reason = str(error)
            if time.monotonic() - started >= patience_s:
                raise UnansweredError(f"{self._who} does not answer ({reason})", TRANSIENT)
            if not said:
                self._say(f"{self._who} does not answer ({reason}); asking for {patience_s:.0f} s")
                said = True
            time.sleep(self._poll_s)


def message_of(answer: object) -> str:
    """What a server says of its refusal, in one line."""
    found = answer.get("message", "") if isinstance(answer, dict) else ""
    return " ".join(str(found).split())[:300] or "it says nothing"
