"""Retry requests to a server that does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..kubernetes.api import Document, Say
from ..kubernetes.asking import message_of
from .contract import TRANSIENT
from .errors import UnansweredError


class Patient:
    """Retries requests without an answer, and answers 429 and 5xx."""

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
        """Send a request until the server answers it.

        Raises:
            UnansweredError: when it does not for too long; without `patiently`, at once.
        """
        started, reported = time.monotonic(), False
        patience_s = self._patience_s if patiently else 0
        while True:
            try:
                status, answer = self._ask(method, path, body)
                if status < 500 and status != 429:
                    if reported:
                        self._say(f"{self._who} answers again")
                    return status, answer
                reason = f"{status}: {message_of(answer)}"
            except ConnectionError as error:
                reason = str(error)
            if time.monotonic() - started >= patience_s:
                raise UnansweredError(f"{self._who} does not answer ({reason})", TRANSIENT)
            if not reported:
                self._say(
                    f"{self._who} does not answer ({reason}); retrying for {patience_s:.0f} s"
                )
                reported = True
            time.sleep(self._poll_s)
