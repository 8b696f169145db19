"""What a hub's answer means: go on, try another connection, or end."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import time

from .contract import NO_ACCESS, NOT_AS_PLANNED
from .errors import DownloadError, RetryError
from .plan import SHA256, File


def check_status(file: File, response: http.client.HTTPResponse, *, at_hub: bool) -> None:
    """Say what a status means; the address is not said, because it may be a signed one.

    Raises:
        DownloadError: when no other attempt can help.
        RetryError: when one can.
    """
    status = response.status
    if status in (200, 206):
        return
    where = f"{file.repository} {file.name}: HTTP {status}"
    if status == 407:
        raise DownloadError(NO_ACCESS, f"{where}: the proxy wants a login; set HTTPS_PROXY")
    if status == 416:
        raise DownloadError(
            NOT_AS_PLANNED, f"{where}: the file is shorter than planned; lock it anew"
        )
    if at_hub and status in (401, 403):
        raise DownloadError(
            NO_ACCESS,
            f"{where}: no access, or no such repository; set HF_TOKEN to one that has it",
        )
    if at_hub and 400 <= status < 500 and status not in (408, 409, 425, 429):
        raise DownloadError(
            NOT_AS_PLANNED, f"{where}: not there at revision {file.revision}; lock it anew"
        )
    raise RetryError(f"HTTP {status}", _retry_after_s(response))


def check_promise(file: File, headers: http.client.HTTPMessage) -> None:
    """Compare what the hub says of a file with the plan, before gigabytes say it."""
    promised = headers.get("X-Linked-Etag", "").strip('W/"')
    if SHA256.fullmatch(promised) and promised != file.sha256:
        raise DownloadError(
            NOT_AS_PLANNED,
            f"{file.repository} {file.name}: at revision {file.revision} the hub has sha256 "
            f"{promised}, not {file.sha256}; lock it anew",
        )
    size = headers.get("X-Linked-Size", "")
    if size.isdigit() and int(size) != file.size_bytes:
        raise DownloadError(
            NOT_AS_PLANNED,
            f"{file.repository} {file.name}: the hub has {size} bytes, not {file.size_bytes}; "
            "lock it anew",
        )


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0
