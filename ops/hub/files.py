"""What the hub says of a repository's files, and the first bytes of one, without its body."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from ops.errors import OpsError, reason_of

# Otherwise the library asks the hub for a list of programs and keeps it in the home directory.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import httpx2
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_TIMEOUT_S = 30
_REASONS = {
    401: "it does not exist, or HF_TOKEN is missing or wrong",
    403: "HF_TOKEN may not read it: its terms are accepted on its page",
    404: "it does not exist",
    429: "too many requests: wait a few minutes, or set HF_TOKEN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository, as the hub describes it."""

    name: str
    size_bytes: int
    sha256: str
    """Empty where the hub states none: the file is not in LFS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRevision:
    """A repository at one commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]


def find_revision(repository: str, revision: str) -> HubRevision:
    """Ask the hub of HF_ENDPOINT what a repository holds; HF_TOKEN is sent where there is one.

    Args:
        repository: `owner/name`.
        revision: A branch or a commit.

    Raises:
        OpsError: when the hub cannot be reached, refuses, or answers with nothing usable.
    """
    with _one_line(f"{repository} at {revision}"):
        api = huggingface_hub.HfApi(endpoint=_endpoint())
        found = api.model_info(
            repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        )
        files = tuple(
            HubFile(
                name=each.rfilename,
                size_bytes=each.size or 0,
                sha256=each.lfs.sha256 if each.lfs else "",
            )
            for each in found.siblings or ()
        )
        commit = found.sha or ""
        if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
            raise OpsError(f"{repository}: the hub says that {revision} is the commit {commit!r}")
        for each in files:
            if each.sha256 and not (_SHA256.fullmatch(each.sha256) and each.size_bytes > 0):
                raise OpsError(
                    f"{repository}: the hub says that {each.name} has {each.size_bytes} bytes and "
                    f"the sha256 {each.sha256!r}"
                )
    return HubRevision(repository=repository, commit=commit, files=files)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A file of the hub, read part by part by ranged requests."""

    repository: str
    commit: str
    name: str
    size_bytes: int
    """As the hub's description of the repository says."""

    def read(self, first: int, end: int) -> bytes:
        """Fetch a part.

        Raises:
            OpsError: when the hub sends no such part, or says that the file is of another size.
        """
        url = huggingface_hub.hf_hub_url(
            self.repository, self.name, revision=self.commit, endpoint=_endpoint()
        )
        headers = {"Range": f"bytes={first}-{end - 1}", "Accept-Encoding": "identity"}
        if token := huggingface_hub.get_token():
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
            raise OpsError(f"{self.name}: the hub sends a web page in its place")
        told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != 206 or told is None:
            raise OpsError(f"{self.name}: the hub sends no part of it but all ({response})")
        told_first, told_last, told_size = map(int, told.groups())
        if told_size != self.size_bytes:
            raise OpsError(
                f"{self.name}: the hub describes a file of {self.size_bytes} bytes and sends one "
                f"of {told_size}"
            )
        if (told_first, told_last) != (first, end - 1):
            raise OpsError(
                f"{self.name}: asked for bytes {first} to {end - 1}, the hub sends {told_first} "
                f"to {told_last}"
            )
        content = bytearray()
        for piece in response.iter_raw():
            content += piece
            if len(content) > end - first:
                raise OpsError(f"{self.name}: the hub sends more than the part it announces")
        return bytes(content)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", huggingface_hub.constants.ENDPOINT).rstrip("/")


def _refused(subject: str, status: int) -> OpsError:
    reason = _REASONS.get(status, "the hub's own trouble" if status >= 500 else "unexpected")
    return OpsError(f"{subject}: the hub answers {status} ({reason})")


@contextmanager
def _one_line(subject: str) -> Iterator[None]:
    """Turn what the library raises into one line, without the address: it may be signed."""
    try:
        yield
    except HfHubHTTPError as error:
        raise _refused(subject, error.response.status_code) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled) as error:
        host = urlsplit(_endpoint()).hostname or "HF_ENDPOINT"
        offline = "HF_HUB_OFFLINE is set" if isinstance(error, OfflineModeIsEnabled) else ""
        reason = offline or reason_of(error)
        raise OpsError(f"{subject}: {host} cannot be asked ({reason})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OpsError(
            f"{subject}: the hub's answer is not what a hub says ({type(error).__name__})"
        ) from error
