"""Send JSON requests to a server, once or with retries."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from .api import Document, Say
from .contract import TRANSIENT
from .errors import UnansweredError

TIMEOUT_S = 10.0


def direct_opener(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """Make a client that uses no proxy of the environment and follows no redirect.

    Its requests have a token or key, which reaches only the given address.

    Args:
        context: How it trusts certificates (default: it connects to http addresses only).
    """
    tls = [urllib.request.HTTPSHandler(context=context)] if context else []
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect(), *tls)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def ask(
    opener: urllib.request.OpenerDirector,
    method: str,
    url: str,
    headers: dict[str, str],
    body: Document | None,
) -> tuple[int, Any, http.client.HTTPMessage | None]:
    """Send a request and return status, answer and headers.

    Raises:
        ConnectionError: when no answer comes.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - only http and https reach this.
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


def message_of(answer: object) -> str:
    """Return the message of a server's answer in one line."""
    message = answer.get("message", "") if isinstance(answer, dict) else ""
    return " ".join(str(message).split())[:300] or "no message"
