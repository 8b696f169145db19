"""Numbers in a server's headers, which may be anything."""

from __future__ import annotations

import email.utils
import re
import time
from datetime import UTC
from http.client import HTTPMessage

LONGEST_PAUSE_S = 86400.0
"""A longer pause is a mistake of the server, or means the same: end this run."""
_WHOLE = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
_LEFT = re.compile(r";\s*r=([0-9]+)")
_RESET = re.compile(r";\s*t=([0-9]+)")


def whole_number(text: str) -> int | None:
    """Read a number of bytes; None if it is not one."""
    return int(text) if _WHOLE.fullmatch(text) else None


def pause_s(headers: HTTPMessage, status: int) -> float:
    """Return the seconds that a server wants a client to wait; 0 if it says nothing usable.

    Retry-After is a number or a date. The hub also sends `RateLimit: "api";r=0;t=212` with 429:
    the quota is used up, and is renewed after 212 seconds.
    """
    wait_s = _retry_after_s(headers.get("Retry-After", "").strip())
    if status == 429 and not wait_s:
        wait_s = _reset_s(headers.get("RateLimit", ""))
    return min(max(0.0, wait_s), LONGEST_PAUSE_S)


def _retry_after_s(text: str) -> float:
    # Two servers on the way may each have sent one.
    if number := _SECONDS.fullmatch(text.partition(",")[0].strip()):
        return float(number[0])
    try:
        date = email.utils.parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, TypeError, LookupError, OverflowError):
        return 0.0


def _reset_s(text: str) -> float:
    """Return when the last of the used-up quotas is renewed; of all quotas if it says no more."""
    quotas = text.split(",")
    used_up = [quota for quota in quotas if (left := _LEFT.search(quota)) and not int(left[1][:9])]
    resets = (_RESET.search(quota) for quota in used_up or quotas)
    return max((float(reset[1]) for reset in resets if reset), default=0.0)
