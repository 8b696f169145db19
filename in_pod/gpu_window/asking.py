"""One request and its answer, JSON both."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from .api import Document

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
