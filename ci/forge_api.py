"""Call the API of GitHub or Forgejo, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from ops.errors import OpsError

_TIMEOUT_S = 30
_MOST_ANSWER_BYTES = 32 * 2**20
_MOST_PAGES = 100


class ForgeError(OpsError):
    """The forge refuses a request or does not answer it; in one line without the token."""

    def __init__(self, message: str, *, status: int = 0, retry_after_s: float = 0) -> None:
        """Describe the error.

        Args:
            message: One line.
            status: Status of the forge's answer (default: 0, no answer).
            retry_after_s: Seconds to wait before a retry (default: 0, the forge does not say).
        """
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class PassingForgeError(ForgeError):
    """An error that a retry may pass: a fault of the server, a rate limit, no answer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which would send the token elsewhere."""

    def redirect_request(self, *_arguments: object) -> None:
        return None


class ForgeApi:
    """A forge and a token; the caller retries."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare requests.

        Args:
            url: The API's address, such as `https://api.github.com` or `https://host/api/v1`.
            token: Sent with every request and never shown.
        """
        self._url = url.rstrip("/")
        self._token = token
        # The environment names the proxies.
        self._opener = urllib.request.build_opener(_NoRedirect())

    def request(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Send one request for one object.

        Args:
            method: GET, POST or PATCH.
            path: Path below the API's URL.
            body: Sent as JSON (default: no body).

        Raises:
            PassingForgeError: if a retry may succeed.
            ForgeError: if the forge refuses.
        """
        answer, _ = self._ask(method, self._url + path, body)
        return answer if isinstance(answer, dict) else {}

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Read a list, page after page.

        Args:
            path: Path below the API's URL; the size of a page is added.

        Raises:
            ForgeError: as `request`, or if a page is on another server.
        """
        # GitHub's word for the size of a page, and Forgejo's.
        url = f"{self._url}{path}{'&' if '?' in path else '?'}per_page=100&limit=50"
        for _ in range(_MOST_PAGES):
            answer, link = self._ask("GET", url, None)
            if not isinstance(answer, list):
                raise ForgeError(f"GET {url}: the answer is not a list; check --api")
            yield from (entry for entry in answer if isinstance(entry, dict))
            following = re.search(r'<([^<>]+)>\s*;[^,<]*\brel="next"', link)
            if not following:
                return
            url = following.group(1)
            if urlsplit(url)[:2] != urlsplit(self._url)[:2]:
                raise ForgeError(f"the next page is on another server ({url[:120]})")
        raise ForgeError(f"{path} has more than {_MOST_PAGES} pages")

    def _ask(self, method: str, url: str, body: Mapping[str, object] | None) -> tuple[object, str]:
        request = urllib.request.Request(  # noqa: S310 - the caller checks for http or https.
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/json",
                "Authorization": f"token {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "llama-cpp-infra",
            },
            method=method,
        )
        asked = f"{method} {url.partition('?')[0]}"
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                text = response.read(_MOST_ANSWER_BYTES)
                link = response.headers.get("Link", "")
            return json.loads(text), link
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(asked, error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = self._plain(str(getattr(error, "reason", error)) or type(error).__name__)
            raise PassingForgeError(f"{asked}: no answer ({reason})") from None
        except ValueError as error:
            raise ForgeError(f"{asked}: the answer is not JSON; check --api") from error

    def _refusal(self, asked: str, error: urllib.error.HTTPError) -> ForgeError:
        try:
            message = json.loads(error.read(10_000)).get("message", "")
        except (ValueError, AttributeError, OSError, http.client.HTTPException):
            message = ""
        line = f"{asked}: {error.code} {self._plain(message) or error.reason}"
        if 300 <= error.code < 400:
            where = self._plain(error.headers.get("Location", "elsewhere"))
            return ForgeError(f"{line}; it moved to {where}. Use that address", status=error.code)
        wait_s = _wait_s(error.headers)
        limited = error.code == 403 and (
            wait_s > 0 or error.headers.get("X-RateLimit-Remaining") == "0"
        )
        if error.code >= 500 or error.code == 429 or limited:
            return PassingForgeError(line, status=error.code, retry_after_s=wait_s)
        hint = {
            401: "; check that the token is right and has not expired",
            403: "; the token needs permission to write comments (pull-requests: write)",
            404: "; check the repository's name and that the token can read it",
        }.get(error.code, "")
        return ForgeError(line + hint, status=error.code)

    def _plain(self, text: object) -> str:
        """Write a server's text on one line, without the token."""
        line = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", str(text).replace(self._token, "***"))
        return " ".join(line.split())[:200]


def _wait_s(headers: Message) -> float:
    after, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
    if after.isdecimal():
        return float(after)
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return max(1.0, float(reset) - time.time())
    return 0.0
