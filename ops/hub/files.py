"""Read the descriptions of a repository's files from the hub, and parts of a file."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import huggingface_hub

from in_pod.download.errors import DownloadError
from in_pod.download.hub import Hub
from in_pod.download.proxies import is_loopback
from ops.errors import OpsError, one_line, reason_of
from ops.machine.http_client import http_client
from ops.machine.whole_answer import read_whole

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_PUBLIC_HUB = "https://huggingface.co"
_TIMEOUT_S = 30
"""Seconds of silence."""
_LONGEST_S = 600
"""Seconds until an answer is complete, for one that trickles in."""
_MOST_REDIRECTS = 5
_MAX_DESCRIPTION_BYTES = 8 * 2**20
"""Some 25,000 files."""
_MAX_FILE_BYTES = 2**48
_MAX_NAME_CHARACTERS = 1024
_REASONS = {
    401: "it does not exist, or HF_TOKEN is missing or wrong",
    403: "HF_TOKEN has no access; accept the terms on its page",
    404: "it does not exist",
    407: "the proxy requires a login; set it in the proxy's variable",
    429: "too many requests; wait a few minutes or set HF_TOKEN",
}


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
    subject = f"{repository} at {revision}"
    path = f"api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
    with _answer(subject, path) as response:
        document = json.loads(_body(subject, response, _MAX_DESCRIPTION_BYTES))
        commit, siblings = document["sha"], document["siblings"]
        if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
            raise OpsError(
                f"{repository}: the hub resolves {revision} to the commit "
                f"{one_line(repr(commit), limit=80)}; --update takes the newest commit of main"
            )
        files: dict[str, HubFile] = {}
        for sibling in siblings:
            file = _file(repository, sibling)
            if file.name in files:
                raise OpsError(f"{repository}: the hub lists {one_line(file.name)} twice")
            files[file.name] = file
    return HubRevision(repository=repository, commit=commit, files=tuple(files.values()))


def _file(repository: str, sibling: Any) -> HubFile:
    """Check the description of a file.

    Raises:
        OpsError: when its size or its sha256 is invalid.
        KeyError, TypeError, AttributeError, ValueError: when it is not a description.
    """
    name, size_bytes = sibling["rfilename"], sibling.get("size") or 0
    sha256 = (sibling.get("lfs") or {}).get("sha256") or ""
    if not isinstance(name, str) or len(name) > _MAX_NAME_CHARACTERS:
        raise ValueError("rfilename")
    is_size = type(size_bytes) is int and 0 <= size_bytes <= _MAX_FILE_BYTES
    if not is_size or (sha256 and not (_SHA256.fullmatch(sha256) and size_bytes)):
        described = f"{name} with {size_bytes!r} bytes and the sha256 {sha256!r}"
        raise OpsError(f"{repository}: the hub describes {one_line(described)}")
    return HubFile(name=name, size_bytes=size_bytes, sha256=sha256)


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
        path = f"{self.repository}/resolve/{self.commit}/{quote(self.name)}"
        with _answer(self.name, path, {"Range": f"bytes={first}-{end - 1}"}) as response:
            return self._part(response, first, end)

    def _part(self, response: httpx2.Response, first: int, end: int) -> bytes:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise OpsError(f"{self.name}: the hub sends a web page instead")
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != 206 or content_range is None:
            raise OpsError(
                f"{self.name}: the hub sends the whole file instead of a part "
                f"(HTTP {response.status_code})"
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
        return _body(self.name, response, end - first)


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
def _answer(
    subject: str, path: str, headers: Mapping[str, str] | None = None
) -> Iterator[httpx2.Response]:
    """Request a path of the hub; convert errors, without the address, which may be signed.

    Args:
        subject: What the path describes, in errors.
        path: The path, quoted.
        headers: Sent with the request (default: none).

    Raises:
        OpsError: when the hub does not answer, refuses or redirects in a loop, and for an error
            of what the context reads from the answer.
    """
    endpoint = _endpoint()
    host = urlsplit(endpoint).hostname
    if huggingface_hub.is_offline_mode():
        raise OpsError(f"{subject}: no answer from {host} (HF_HUB_OFFLINE is set)")
    sent = {"Accept-Encoding": "identity", "User-Agent": "llama-cpp-infra/lock", **(headers or {})}
    if token := _token():
        sent["Authorization"] = f"Bearer {token}"
    try:
        with http_client(through_proxy=True, timeout=_TIMEOUT_S) as client:
            request = client.build_request("GET", f"{endpoint}/{path}", headers=sent)
            for _ in range(_MOST_REDIRECTS + 1):
                # The client's own way to follow a redirect reads its body, however long.
                with closing(client.send(request, stream=True)) as response:
                    if response.next_request is None:
                        if response.status_code not in (200, 206):
                            raise _refused(subject, response.status_code)
                        yield response
                        return
                    request = response.next_request
            raise OpsError(f"{subject}: the hub redirects in a loop")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OpsError(f"{subject}: no answer from {host} ({reason_of(error)})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OpsError(
            f"{subject}: the hub's answer is invalid ({type(error).__name__})"
        ) from error


def _body(subject: str, response: httpx2.Response, most_bytes: int) -> bytes:
    """Read the body of an answer as it was sent.

    Raises:
        OpsError: when it is longer.
        httpx2.ReadTimeout: when it does not end in time.
    """
    # Decompressed, a part of it could become any number of bytes.
    response.headers.pop("Content-Encoding", None)
    deadline = time.monotonic() + _LONGEST_S
    content = read_whole(response, deadline=deadline, most_bytes=most_bytes)
    if len(content) > most_bytes:
        raise OpsError(f"{subject}: the hub sends more than {most_bytes} bytes")
    return content
