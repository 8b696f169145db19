"""A hub on loopback that serves files like a Hugging Face endpoint, for demos and benchmarks.

Set `HF_ENDPOINT` to its address for the download program, `ops lock` or huggingface_hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

_RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
_MODEL = re.compile(r"/api/models/(?P<repository>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)")
_HEX = re.compile(r"[0-9a-f]{40}")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of the hub."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> HubFile:
        """Describe a file on disk."""
        with path.open("rb") as content:
            return cls(path=path, sha256=hashlib.file_digest(content, "sha256").hexdigest())


class HubHandler(BaseHTTPRequestHandler):
    """Answers `resolve` with a file or a range of it, and lists the files of a repository."""

    protocol_version = "HTTP/1.1"
    server: LocalHub

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        """Describe a file."""
        self.answer(body=False)

    def do_GET(self) -> None:
        """Send a file."""
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        """Answer a request for a file or for a repository's list."""
        path = urlsplit(self.path).path
        if model := _MODEL.fullmatch(unquote(path)):
            self.send_model(model["repository"], model["revision"], body=body)
            return
        file = self.find(path)
        if file is None:
            self.refuse(404)
            return
        self.send_file(file, body=body)

    def find(self, path: str) -> HubFile | None:
        """Find the file of a path `owner/name/resolve/revision/file`."""
        match = _RESOLVE.fullmatch(unquote(path))
        if match is None:
            return None
        return self.server.files.get((match["repository"], match["name"]))

    def send_model(self, repository: str, revision: str, *, body: bool) -> None:
        """Send the files of a repository at a revision, as for `?blobs=true`."""
        siblings = [
            self.sibling(name, file)
            for (owner, name), file in sorted(self.server.files.items())
            if owner == repository
        ]
        if not siblings:
            self.refuse(404, X_Error_Code="RepoNotFound")
            return
        model = {
            "id": repository,
            "modelId": repository,
            "sha": self.commit_of(revision),
            "siblings": siblings,
        }
        content = json.dumps(model).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def commit_of(self, revision: str) -> str:
        """Return the commit of a branch, or the commit itself: every commit has the same files."""
        return revision if _HEX.fullmatch(revision) else self.server.commit

    def sibling(self, name: str, file: HubFile) -> dict[str, Any]:
        """Describe a file; all files are in LFS."""
        size_bytes = file.path.stat().st_size
        lfs = {"sha256": file.sha256, "size": size_bytes, "pointerSize": 135}
        return {"rfilename": name, "size": size_bytes, "blobId": file.sha256[:40], "lfs": lfs}

    def refuse(self, status: int, **headers: str) -> None:
        """Answer with a status and no body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def describe(self, file: HubFile) -> None:
        """Send the headers that describe a file."""
        self.send_header("ETag", f'"{file.sha256}"')
        self.send_header("X-Linked-Etag", f'"{file.sha256}"')
        self.send_header("X-Linked-Size", str(file.path.stat().st_size))
        self.send_header("X-Repo-Commit", self.server.commit)
        self.send_header("Accept-Ranges", "bytes")

    def send_file(self, file: HubFile, *, body: bool) -> None:
        """Send a file, or the requested range of it."""
        size = file.path.stat().st_size
        first, end = 0, size
        if byte_range := _RANGE.fullmatch(self.headers.get("Range", "")):
            first, end = int(byte_range[1]), min(size, int(byte_range[2] or size - 1) + 1)
            if first >= size:
                self.refuse(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        else:
            self.send_response(200)
        self.describe(file)
        self.send_header("Content-Length", str(end - first))
        self.end_headers()
        if body:
            with suppress(ConnectionError):
                self.send_bytes(file, first, end)

    def send_bytes(self, file: HubFile, first: int, end: int) -> None:
        """Send the body."""
        self.wfile.flush()
        with file.path.open("rb") as content:
            self.connection.sendfile(content, first, end - first)


class LocalHub(ThreadingHTTPServer):
    """The hub, in threads of this process while the context lasts."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        files: Mapping[tuple[str, str], HubFile],
        handler: type[HubHandler] = HubHandler,
        *,
        port: int = 0,
    ) -> None:
        """Offer files.

        Args:
            files: (repository, file name) -> the file.
            handler: How it answers (default: without faults).
            port: Port on 127.0.0.1 (default: a free one).
        """
        super().__init__(("127.0.0.1", port), handler)
        self.files = dict(files)
        self.commit = _COMMIT

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"

    def environment(self) -> dict[str, str]:
        """Return the environment of a program that takes its files from here."""
        env = os.environ | {"HF_ENDPOINT": self.url}
        # Some programs read one spelling, and some prefer it to the other.
        direct = env.get("no_proxy") or env.get("NO_PROXY")
        env["no_proxy"] = env["NO_PROXY"] = ",".join(filter(None, (direct, "127.0.0.1")))
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            env.pop(name, None)
        return env

    def handle_error(self, *_arguments: Any) -> None:
        """Log nothing when a client disconnects."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shutdown()
        self.server_close()
