"""Read the descriptions of a repository's files from the hub, and parts of a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from ops.errors import OpsError, reason_of

# Otherwise the library fetches a list of programs from the hub into the home directory.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import httpx2
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from in_pod.download.errors import DownloadError
from in_pod.download.hub import Hub
from in_pod.download.proxies import is_loopback
from ops.machine.http_client import http_client

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_PUBLIC_HUB = "https://huggingface.co"
_TIMEOUT_S = 30
_REASONS = {
    401: "it does not exist, or HF_TOKEN is missing or wrong",
    403: "HF_TOKEN has no access; accept the terms on its page",
    404: "it does not exist",
    407: "the proxy requires a login; set it in the proxy's variable",
    429: "too many requests; wait a few minutes or set HF_TOKEN",
}


def _check_online(_request: httpx2.Request) -> None:
    if huggingface_hub.is_offline_mode():
        raise OfflineModeIsEnabled


huggingface_hub.set_client_factory(
    lambda: http_client(
        through_proxy=True,
        follow_redirects=True,
        timeout=_TIMEOUT_S,
        before_request=(_check_online,),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository, as the hub describes it."""

    name: str
    size_bytes: int
    sha256: str
    """Empty if the file is not in LFS: the hub then has no sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRevision:
    """A repository at one commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]


def find_revision(repository: str, revision: str) -> HubRevision:
    """Read the files of a repository from the hub of HF_ENDPOINT, with HF_TOKEN if it is set.

    Args:
        repository: `owner/name`.
        revision: A branch or a commit.

    Raises:
        OpsError: when the hub does not answer, refuses, or sends an invalid answer.
    """
    with _one_line(f"{repository} at {revision}"):
        # False: without it the library sends a stored token.
        api = huggingface_hub.HfApi(endpoint=_endpoint(), token=_token() or False)
        info = api.model_info(
            repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        )
        files = tuple(
            HubFile(
                name=sibling.rfilename,
                size_bytes=sibling.size or 0,
                sha256=sibling.lfs.sha256 if sibling.lfs else "",
            )
            for sibling in info.siblings or ()
        )
        commit = info.sha or ""
        if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
            raise OpsError(
                f"{repository}: the hub resolves {revision} to the commit {commit!r}; --update "
                "takes the newest commit of main"
            )
        for file in files:
            if file.sha256 and not (_SHA256.fullmatch(file.sha256) and file.size_bytes > 0):
                raise OpsError(
                    f"{repository}: the hub describes {file.name} with {file.size_bytes} bytes "
                    f"and the sha256 {file.sha256!r}"
                )
    return HubRevision(repository=repository, commit=commit, files=files)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A file on the hub, read by range requests."""

    repository: str
    commit: str
    name: str
    size_bytes: int
    """Size in the hub's description of the repository."""

    def read(self, first: int, end: int) -> bytes:
        """Fetch a part.

        Raises:
            OpsError: when the hub does not send that part, or the file has another size.
        """
        url = huggingface_hub.hf_hub_url(
            self.repository, self.name, revision=self.commit, endpoint=_endpoint()
        )
        headers = {"Range": f"bytes={first}-{end - 1}", "Accept-Encoding": "identity"}
        if token := _token():
            headers["Authorization"] = f"Bearer {token}"
        with (
            _one_line(self.name),
            huggingface_hub.get_session().stream(
                "GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S
            ) as response,
        ):
            return self._part(response, first, end)

    def _part(self, response: httpx2.Response, first: int, end: int) -> bytes:
        if response.status_code >= 400:
            raise _refused(self.name, response.status_code)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise OpsError(f"{self.name}: the hub sends a web page instead")
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != 206 or content_range is None:
            raise OpsError(
                f"{self.name}: the hub sends the whole file instead of a part ({response})"
            )
        sent_first, sent_last, sent_size = map(int, content_range.groups())
        if sent_size != self.size_bytes:
            raise OpsError(
                f"{self.name}: the hub describes {self.size_bytes} bytes and sends {sent_size}"
            )
        if (sent_first, sent_last) != (first, end - 1):
            raise OpsError(
                f"{self.name}: the hub sends bytes {sent_first} to {sent_last} instead of {first} "
                f"to {end - 1}"
            )
        content = bytearray()
        for piece in response.iter_raw():
            content += piece
            if len(content) > end - first:
                raise OpsError(f"{self.name}: the hub sends more bytes than it announced")
        return bytes(content)


def _endpoint() -> str:
    """Return the hub's address.

    Raises:
        OpsError: when HF_ENDPOINT is invalid, or HF_TOKEN would be readable on the way to it.
    """
    try:
        Hub()  # The download program's checks, so that both take the same environments.
    except DownloadError as error:
        raise OpsError(str(error)) from error
    return (os.environ.get("HF_ENDPOINT") or _PUBLIC_HUB).rstrip("/")


def _token() -> str:
    """Return HF_TOKEN, or the token of `hf auth login` where nobody can read it on the way."""
    hub = urlsplit(_endpoint())
    is_safe = hub.scheme == "https" or is_loopback(hub.hostname or "")
    return (huggingface_hub.get_token() or "") if is_safe else ""


def _refused(subject: str, status: int) -> OpsError:
    reason = _REASONS.get(status, "an error of the hub" if status >= 500 else "unexpected")
    return OpsError(f"{subject}: the hub answers {status} ({reason})")


@contextmanager
def _one_line(subject: str) -> Iterator[None]:
    """Convert the library's errors, without the address, which may be signed."""
    try:
        yield
    except HfHubHTTPError as error:
        raise _refused(subject, error.response.status_code) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled) as error:
        host = urlsplit(_endpoint()).hostname or "HF_ENDPOINT"
        offline = "HF_HUB_OFFLINE is set" if isinstance(error, OfflineModeIsEnabled) else ""
        reason = offline or reason_of(error)
        raise OpsError(f"{subject}: no answer from {host} ({reason})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OpsError(
            f"{subject}: the hub's answer is invalid ({type(error).__name__})"
        ) from error
