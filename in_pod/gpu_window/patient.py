"""Ask a server again for a while where no answer comes, or one of a server in trouble."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .api import Document, Say
from .contract import NO_ACCESS, TRANSIENT
from .errors import UnansweredError, WindowError


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


def refused(who: str, what: str, status: int, answer: object) -> WindowError:
    """Say that a server will not do what it is asked for."""
    return WindowError(f"{who} refuses {what} ({status}: {message_of(answer)})", NO_ACCESS)
