"""Send a JSON request to a server."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from .api import Document

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


def message_of(answer: object) -> str:
    """Return the message of a server's answer in one line."""
    message = answer.get("message", "") if isinstance(answer, dict) else ""
    return " ".join(str(message).split())[:300] or "no message"
