#!/usr/bin/env python3
"""Fill a volume with exactly the GGUF files that a plan names; runs in the download Job.

One file after another: resumed where a killed run stopped, checked against its sha256, and visible
under its final name only then. Standard library only, because it runs from a ConfigMap.

    python3 download.py --plan download-plan.json --models /models

Exit codes: 0 done; 75 may heal by itself (network, 5xx); 65 wrong bytes twice; 77 no access;
78 the plan or a file in it is wrong; 28 no space. The Job retries 75 alone.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

WRONG_BYTES, NO_SPACE, TRANSIENT, NO_ACCESS, BAD_PLAN = 65, 28, 75, 77, 78

CHUNK_BYTES = 1 << 20
FLUSH_BYTES = 64 << 20
"""Written pages are pushed out this often: NFS takes them more slowly than the network gives them,
and the ones that wait count against the pod's memory limit."""
ATTEMPTS = 5
PROGRESS_S = 10.0
TIMEOUT_S = 30.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)


class DownloadError(Exception):
    """Why the run ends, in one line, with the exit code that says whether a retry can help."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the exit code beside the message."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the plan."""

    repository: str
    revision: str
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A name under which llama-server looks for a file, relative to the volume."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the volume has to hold: files, and for each model the links it needs together."""

    files: tuple[File, ...]
    models: dict[str, tuple[Link, ...]]


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def read_plan(path: Path) -> Plan:
    """Read and check the plan.

    Raises:
        DownloadError: with BAD_PLAN when it is no complete plan or names a path outside.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(File(**fields) for fields in document["files"])
        models = {
            model["id"]: tuple(
                Link(path=f"{model['id']}/{link['name']}", sha256=link["sha256"])
                for link in model["links"]
            )
            for model in document["models"]
        }
        known = {file.sha256 for file in files}
        names = [name for file in files for name in (file.repository, file.name, file.revision)]
        names += [link.path for links in models.values() for link in links]
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no plain relative name")
        for file in files:
            if not _SHA256.fullmatch(file.sha256) or file.size_bytes < 1:
                raise ValueError(f"{file.name}: sha256 or size_bytes is wrong")
        for links in models.values():
            for link in links:
                if link.sha256 not in known:
                    raise ValueError(f"{link.path} is of no file in the plan")
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DownloadError(BAD_PLAN, f"{path} is no download plan ({reason})") from error
    return Plan(files=files, models=models)


class _SameHostToken(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never carry the token to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and request.host != req.host:
            request.remove_header("Authorization")
        return request


class Hub:
    """Where files come from: a Hugging Face endpoint."""

    def __init__(self, endpoint: str, token: str | None) -> None:
        """Talk to an endpoint, with a token where one is given."""
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_SameHostToken())

    def open(self, file: File, offset: int) -> http.client.HTTPResponse:
        """Ask for a file from an offset on; the answer is 206, or 200 with all of it.

        Raises:
            DownloadError: with the exit code that the answer means.
        """
        path = "/".join(
            (file.repository, "resolve", urllib.parse.quote(file.revision, safe=""), file.name)
        )
        request = urllib.request.Request(f"{self._endpoint}/{path}")  # noqa: S310 - http(s) only.
        request.add_header("Range", f"bytes={offset}-")
        request.add_header("Accept-Encoding", "identity")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refused(file, error.code, error.url) from error
        return response

    def _refused(self, file: File, status: int, url: str) -> DownloadError:
        """Say what a status means; the address is not said, because it may be a signed one."""
        where = f"{file.repository} {file.name}: HTTP {status}"
        from_hub = url.startswith(self._endpoint)
        if status in (401, 403) and from_hub:
            return DownloadError(NO_ACCESS, f"{where}: no access; set HF_TOKEN to one that has it")
        if status in (404, 410):
            return DownloadError(
                BAD_PLAN, f"{where}: not there at revision {file.revision}; lock it anew"
            )
        return DownloadError(TRANSIENT, where)


class Partial:
    """A file that is not complete yet: its bytes on disk and the sha256 of them so far."""

    def __init__(self, path: Path) -> None:
        """Take up what an earlier run left, hashing it as it is on disk."""
        self.path = path
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._unflushed_bytes = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        while chunk := os.read(self._fd, CHUNK_BYTES):
            self._sha256.update(chunk)
            self.size_bytes += len(chunk)

    def start_over(self) -> None:
        """Forget every byte."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._sha256 = hashlib.sha256()
        self.size_bytes = self._unflushed_bytes = 0

    def append(self, chunk: bytes) -> None:
        """Write a chunk behind the others."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._fd, view) :]
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)
        self._unflushed_bytes += len(chunk)
        if self._unflushed_bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Push the written pages to the volume and out of this pod's memory."""
        os.fdatasync(self._fd)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._unflushed_bytes = 0

    def hexdigest(self) -> str:
        """The sha256 of the bytes so far."""
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._fd)


class Progress:
    """A plain line every ten seconds: percent, MB/s and the time that is left."""

    def __init__(self, file: File, size_bytes: int) -> None:
        """Count from what is on disk already."""
        self._file = file
        self._from_bytes = size_bytes
        self._started = self._said = time.monotonic()

    def at(self, size_bytes: int) -> None:
        """Say where the file is, unless that was said a moment ago."""
        now = time.monotonic()
        if now - self._said < PROGRESS_S:
            return
        self._said = now
        rate = (size_bytes - self._from_bytes) / (now - self._started)
        left_s = (self._file.size_bytes - size_bytes) / rate if rate else 0
        percent = 100 * size_bytes / self._file.size_bytes
        say(f"{self._file.name}: {percent:.0f} %, {rate / 1e6:.1f} MB/s, {left_s:.0f} s left")


def check_space(blobs: Path, missing: list[File]) -> None:
    """Refuse to start what cannot be finished.

    Raises:
        DownloadError: with NO_SPACE.
    """
    needed = sum(file.size_bytes - _partial_bytes(blobs / file.sha256) for file in missing)
    needed += needed // 20
    free = shutil.disk_usage(blobs).free
    say(f"{len(missing)} files to download, {needed / 2**30:.2f} GiB with 5 % to spare")
    if needed > free:
        raise DownloadError(
            NO_SPACE,
            f"{blobs}: {free / 2**30:.2f} GiB free, {needed / 2**30:.2f} GiB needed; "
            "enlarge the volume or remove models that the registry no longer names",
        )


def _partial_bytes(blob: Path) -> int:
    try:
        return blob.with_name(f"{blob.name}.partial").stat().st_size
    except FileNotFoundError:
        return 0


def download(hub: Hub, file: File, blobs: Path, sleep: Callable[[float], None]) -> None:
    """Bring one file, whole and checked, to `blobs/<sha256>`.

    Raises:
        DownloadError: when it cannot be had, or its bytes are wrong twice.
    """
    partial = Partial(blobs / f"{file.sha256}.partial")
    try:
        for last in (False, True):
            _complete(hub, file, partial, sleep)
            if partial.hexdigest() == file.sha256:
                break
            say(f"{file.name}: sha256 is {partial.hexdigest()}, not {file.sha256}")
            partial.start_over()
            if last:
                raise DownloadError(WRONG_BYTES, f"{file.name}: wrong bytes twice; lock it anew")
    finally:
        partial.close()
    partial.path.replace(blobs / file.sha256)
    _sync(blobs)
    say(f"{file.name}: complete, {file.size_bytes / 2**30:.2f} GiB, sha256 {file.sha256[:12]}")


def _complete(hub: Hub, file: File, partial: Partial, sleep: Callable[[float], None]) -> None:
    progress = Progress(file, partial.size_bytes)
    failures = 0
    while partial.size_bytes != file.size_bytes:
        if partial.size_bytes > file.size_bytes:
            partial.start_over()
        before = partial.size_bytes
        try:
            _receive(hub, file, partial, progress)
            reason = "the connection ended early"
        except DownloadError as error:
            if error.code != TRANSIENT:
                raise
            reason = str(error)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno == 28:
                raise DownloadError(NO_SPACE, f"{file.name}: the volume is full") from error
            reason = f"{type(error).__name__}: {error}"
        if partial.size_bytes == file.size_bytes:
            return
        # A connection that brought bytes was worth it, however often the line is cut.
        failures = 1 if partial.size_bytes > before else failures + 1
        if failures >= ATTEMPTS:
            raise DownloadError(TRANSIENT, f"{file.name}: {reason} ({failures} times)")
        sleep(2.0 ** (failures - 1))


def _receive(hub: Hub, file: File, partial: Partial, progress: Progress) -> None:
    with hub.open(file, partial.size_bytes) as response:
        if response.status == 206:
            expected = f"bytes {partial.size_bytes}-{file.size_bytes - 1}/{file.size_bytes}"
            if response.headers.get("Content-Range") != expected:
                partial.start_over()
                raise DownloadError(TRANSIENT, f"{file.name}: another range than was asked for")
        else:
            partial.start_over()
        while chunk := response.read1(CHUNK_BYTES):
            if partial.size_bytes + len(chunk) > file.size_bytes:
                partial.start_over()
                raise DownloadError(TRANSIENT, f"{file.name}: more bytes than it has")
            partial.append(chunk)
            progress.at(partial.size_bytes)


def publish(models: Path, plan: Plan) -> None:
    """Point each model's names at its files, each flip atomic and none before all files are there.

    Raises:
        DownloadError: with TRANSIENT when a file has gone since it was checked.
    """
    for model, links in plan.models.items():
        gone = [link.path for link in links if not (models / "blobs" / link.sha256).is_file()]
        if gone:
            raise DownloadError(TRANSIENT, f"model {model}: {gone[0]} has no file any more")
        for link in links:
            path = models / link.path
            path.parent.mkdir(exist_ok=True)
            target = os.path.join("..", "blobs", link.sha256)  # noqa: PTH118 - a link's text.
            if path.is_symlink() and os.readlink(path) == target:  # noqa: PTH115 - likewise.
                continue
            temporary = path.with_name(f".{path.name}.new")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(target)
            temporary.replace(path)
            _sync(path.parent)
            say(f"{link.path} -> {link.sha256[:12]}")


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def run(plan: Plan, models: Path, hub: Hub, sleep: Callable[[float], None] = time.sleep) -> None:
    """Make the volume hold what the plan says; what it holds already costs no request."""
    blobs = models / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    missing = []
    for file in plan.files:
        blob = blobs / file.sha256
        if blob.is_file() and blob.stat().st_size == file.size_bytes:
            say(f"{file.name}: there already")
        else:
            missing.append(file)
    if missing:
        check_space(blobs, missing)
    for file in missing:
        download(hub, file, blobs, sleep)
    publish(models, plan)
    say(f"all {len(plan.files)} files of {len(plan.models)} models are there")


def _end(number: int, _frame: FrameType | None) -> None:
    raise DownloadError(TRANSIENT, f"ended by signal {number}; the next run goes on from here")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit code says what the Job should do."""
    parser = argparse.ArgumentParser(
        prog="download.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", type=Path, required=True, help="the plan, JSON")
    parser.add_argument("--models", type=Path, required=True, help="the volume's directory")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    hub = Hub(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), os.environ.get("HF_TOKEN"))
    try:
        run(read_plan(options.plan), options.models, hub)
    except DownloadError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.code
    except OSError as error:
        code = NO_SPACE if error.errno == 28 else TRANSIENT
        print(f"error: {options.models}: {error}", file=sys.stderr, flush=True)
        return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
