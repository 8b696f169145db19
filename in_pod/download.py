#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""Fill a volume with exactly the GGUF files that a plan names; runs in the download Job.

Several connections a file, resumed where a killed run stopped, and visible under its name only
after the sha256 of what is on the volume was right. Standard library only, one file: it runs from
a ConfigMap.

    python3 download.py --plan download-plan.json --models /models
    python3 download.py --plan download-plan.json --models /models --verify --prune --dry-run

On the volume: blobs/<sha256>, complete and checked, never written again; sets/<digest>/model.gguf
and mmproj.gguf, links to blobs that belong together; <model id>, one link to its set, so that a
model changes all its files at one moment.

Environment: HF_TOKEN, HF_ENDPOINT, HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

Exit codes: 0 done; 16 another run has the volume; 28 no space; 65 a broken plan, or wrong bytes
twice; 75 may heal by itself (network, 5xx); 77 no access; 78 the hub or the volume is not as the
plan says. The Job retries 16 and 75 alone.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import email.utils
import errno
import fcntl
import hashlib
import http.client
import json
import math
import mmap
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import statistics
import struct
import sys
import threading
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self, cast

BUSY, NO_SPACE, BAD_DATA, TRANSIENT, NO_ACCESS, NOT_AS_PLANNED = 16, 28, 65, 75, 77, 78

MIB = 1 << 20
SEGMENT_BYTES = 16 * MIB
"""Large enough that a request's round trip is lost in it, small enough that the sha256, which
follows the file from its start, is never far behind the connections."""
CHUNK_BYTES = MIB // 4
CHUNK_S = 0.05
"""Bytes are written when a chunk is full or this old: what a kill loses is at most one a
connection."""
FLUSH_BYTES = 32 * MIB
"""Written pages are pushed out this often: NFS takes them more slowly than the network gives them,
and the ones that wait count against the pod's memory limit. Twice as many stop the connections."""
FIRST_CONNECTIONS = 2
GROW_S = 0.5
GROW_ANYWAY_S = 10.0
"""Connections are doubled as long as that makes the whole faster, and every so often to try: on a
fast link more of them cost time, on a slow one each brings its own share."""
RETRY_S = 0.5
"""How long a connection leaves a file alone with which it failed; twice as long each time."""
SLOW_WINDOW_S = 10.0
SLOW_SHARE = 0.25
"""A connection below this share of what is usual is opened anew: two thirds of a hub's edges were
seen to give an eighth of what the others gave."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = r"[A-Za-z0-9][\w.-]*"
_NAME = re.compile(_WORD, re.ASCII)
_PATH = re.compile(rf"{_WORD}(/{_WORD})*", re.ASCII)
_RESERVED_IDS = ("blobs", "sets")


class DownloadError(Exception):
    """Why the run ends, in one line, with the exit code that says whether a retry can help."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the exit code beside the message."""
        super().__init__(message)
        self.code = code


class _RetryError(Exception):
    """A connection failed in a way that another one may not; `wait_s` is what the server asks."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def size_text(size_bytes: float) -> str:
    """Say a number of bytes as a person would."""
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.1f} MiB"
    return f"{size_bytes / 2**30:.2f} GiB"


# ---- The plan ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the hub."""

    repository: str
    revision: str
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A name under which llama-server looks for a file, in its model's folder."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the volume has to hold: files, and for each model the links it needs together."""

    files: tuple[File, ...]
    models: dict[str, tuple[Link, ...]]


def read_plan(path: Path) -> Plan:
    """Read and check the plan.

    Raises:
        DownloadError: with BAD_DATA when it is no complete plan, contradicts itself or names
            anything outside the volume.
    """
    try:
        return parse_plan(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DownloadError(BAD_DATA, f"{path} cannot be read ({error})") from error


def parse_plan(text: str, subject: str) -> Plan:
    """Check the text of a plan.

    Args:
        text: JSON.
        subject: How an error names it.

    Raises:
        DownloadError: as `read_plan`.
    """
    try:
        document = json.loads(text)
        if document["version"] != 1:
            raise ValueError(f"version is {document['version']!r}, not 1")
        files = tuple(File(**fields) for fields in document["files"])
        models = {
            model["id"]: tuple(Link(**fields) for fields in model["links"])
            for model in document["models"]
        }
        if len(models) != len(document["models"]):
            raise ValueError("a model is there twice")
        for file in files:
            _check_file(file)
        for model, links in models.items():
            _check_links(model, links, {file.sha256 for file in files})
        for what in ("sha256", "name"):
            keys = [(file.repository, file.revision, file.name) for file in files]
            values = [file.sha256 for file in files] if what == "sha256" else keys
            if len(set(values)) != len(values):
                raise ValueError(f"two files have the same {what}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else error
        raise DownloadError(BAD_DATA, f"{subject} is no download plan ({reason})") from error
    return Plan(files=files, models=models)


def _check_file(file: File) -> None:
    for what in ("repository", "revision", "name"):
        value = getattr(file, what)
        if not isinstance(value, str) or not _PATH.fullmatch(value):
            raise ValueError(f"{what} {value!r} is no plain relative path")
    if type(file.size_bytes) is not int or file.size_bytes < 1:
        raise ValueError(f"{file.name}: size_bytes is {file.size_bytes!r}, not a positive number")
    if not isinstance(file.sha256, str) or not _SHA256.fullmatch(file.sha256):
        raise ValueError(f"{file.name}: sha256 is {file.sha256!r}, not 64 hex digits")


def _check_links(model: str, links: tuple[Link, ...], known: set[str]) -> None:
    if not isinstance(model, str) or not _NAME.fullmatch(model) or model in _RESERVED_IDS:
        raise ValueError(f"model {model!r} is no plain name")
    names = [link.name for link in links]
    for link in links:
        if not isinstance(link.name, str) or not _NAME.fullmatch(link.name):
            raise ValueError(f"model {model}: link {link.name!r} is no plain name")
        if link.sha256 not in known:
            raise ValueError(f"model {model}: {link.name} is of no file in the plan")
    if not links or len(set(names)) != len(names):
        raise ValueError(f"model {model}: no link, or the same twice")


# ---- The volume ----------------------------------------------------------------------------


def is_complete(models: Path, file: File) -> bool:
    """Whether a file is on the volume: its name is given only to checked bytes."""
    blob = models / "blobs" / file.sha256
    return blob.is_file() and blob.stat().st_size == file.size_bytes


def set_name(links: tuple[Link, ...]) -> str:
    """Name a set of links by what it holds, so that a set is never changed."""
    text = json.dumps(sorted((link.name, link.sha256) for link in links))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_published(models: Path, model: str, links: tuple[Link, ...]) -> bool:
    """Whether a model's name leads to exactly these links."""
    return _leads_to(models / model, f"sets/{set_name(links)}") and _is_set(models, links)


def _is_set(models: Path, links: tuple[Link, ...]) -> bool:
    folder = models / "sets" / set_name(links)
    return all(_leads_to(folder / link.name, f"../../blobs/{link.sha256}") for link in links)


def _leads_to(path: Path, target: str) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(path) == target  # noqa: PTH115 - its text is compared.
    return False


def publish(models: Path, plan: Plan, *, but: frozenset[str] = frozenset()) -> None:
    """Point each model whose files are all there at them, in one step a model.

    Args:
        models: The volume's directory.
        plan: The plan.
        but: The sha256 of files that are there with other bytes; left out: none.

    Raises:
        DownloadError: with NOT_AS_PLANNED when something else has the model's name.
    """
    complete = {file.sha256 for file in plan.files if is_complete(models, file)} - but
    for model, links in plan.models.items():
        if is_published(models, model, links) or not complete.issuperset(
            link.sha256 for link in links
        ):
            continue
        _make_room(models, model)
        folder = models / "sets" / set_name(links)
        if not _is_set(models, links):
            fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
            fresh.mkdir(parents=True)
            for link in links:
                (fresh / link.name).symlink_to(f"../../blobs/{link.sha256}")
            _sync(fresh)
            if folder.exists():
                folder.rename(folder.with_name(f".broken.{secrets.token_hex(4)}"))
            fresh.rename(folder)
            _sync(folder.parent)
        fresh = models / f".{model}.{secrets.token_hex(4)}"
        fresh.symlink_to(f"sets/{folder.name}")
        fresh.replace(models / model)
        _sync(models)
        say(f"model {model}: " + ", ".join(f"{link.name} is {link.sha256[:12]}" for link in links))


def _make_room(models: Path, model: str) -> None:
    """Move away what has a model's name; an earlier version made a folder of links there.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it is someone else's.
    """
    path = models / model
    if path.is_symlink() or not path.exists():
        return
    if not path.is_dir() or not all(each.is_symlink() for each in path.iterdir()):
        raise DownloadError(NOT_AS_PLANNED, f"{path} is no link of this program; move it away")
    path.rename(models / f".{model}.{secrets.token_hex(4)}")


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def check_space(models: Path, missing: list[File]) -> None:
    """Refuse to start what cannot be finished.

    Raises:
        DownloadError: with NO_SPACE.
    """
    total = sum(file.size_bytes for file in missing)
    there = sum(Journal.bytes_of(models / "blobs", file) for file in missing)
    needed = total - there
    needed += needed // 20
    free = shutil.disk_usage(models).free
    say(
        f"{len(missing)} files to download, {size_text(total)}, of which {size_text(there)} are "
        f"there; {size_text(free)} are free"
    )
    if needed > free:
        raise DownloadError(
            NO_SPACE,
            f"{models}: {size_text(free)} free, {size_text(needed)} needed (5 % to spare); "
            "enlarge the volume, or --prune what the registry no longer names",
        )


def boot_id() -> str:
    """Name the running kernel: what it was told to write, it still has until it goes down."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class Journal:
    """How far each segment of a partial file is, on the volume, for the run after a kill.

    A counter is written after its bytes, so a killed process leaves no counter without them. A
    kernel that went down may: on another boot only what was synced is believed.
    """

    _HEADER = struct.Struct("<8s32sQQ36s")
    _COUNTERS = struct.Struct("<QQ")
    _MAGIC = b"segments"

    def __init__(self, path: Path, file: File) -> None:
        """Take up an earlier run's counters, or start at zero."""
        self._header = self._HEADER.pack(
            self._MAGIC,
            bytes.fromhex(file.sha256),
            file.size_bytes,
            SEGMENT_BYTES,
            boot_id().encode(),
        )
        count = -(-file.size_bytes // SEGMENT_BYTES)
        pairs = self._read(path, file) or [(0, 0)] * count
        self.written = [written for written, _ in pairs]
        self.synced = [synced for _, synced in pairs]
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        content = b"".join(self._COUNTERS.pack(*pair) for pair in pairs)
        os.pwrite(self._fd, self._header + content, 0)

    @classmethod
    def _read(cls, path: Path, file: File) -> list[tuple[int, int]]:
        """Read the counters that can be believed, written and synced; none when none can."""
        count = -(-file.size_bytes // SEGMENT_BYTES)
        try:
            content = path.read_bytes()
            there = path.with_suffix(".partial").stat().st_size == file.size_bytes
            magic, sha256, size, segment, boot = cls._HEADER.unpack_from(content)
            pairs = list(cls._COUNTERS.iter_unpack(content[cls._HEADER.size :]))
        except (OSError, struct.error):
            return []
        expected = (cls._MAGIC, bytes.fromhex(file.sha256), file.size_bytes, SEGMENT_BYTES)
        if (magic, sha256, size, segment) != expected or len(pairs) != count or not there:
            return []
        written = 0 if boot == boot_id().encode() else 1
        return [(min(pair[written], SEGMENT_BYTES), min(pair[1], SEGMENT_BYTES)) for pair in pairs]

    @classmethod
    def bytes_of(cls, blobs: Path, file: File) -> int:
        """How many bytes of a partial file can be believed."""
        return sum(written for written, _ in cls._read(blobs / f"{file.sha256}.journal", file))

    def write(self, index: int) -> None:
        """Note how far a segment is."""
        at = self._HEADER.size + index * self._COUNTERS.size
        os.pwrite(self._fd, self._COUNTERS.pack(self.written[index], self.synced[index]), at)

    def start_over(self) -> None:
        """Forget every byte."""
        self.synced = [0] * len(self.synced)
        self.roll_back()

    def roll_back(self) -> None:
        """Forget what was not synced."""
        for index, count in enumerate(self.synced):
            self.written[index] = count
            self.write(index)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Transfer:
    """One file on its way: the bytes on the volume, the journal, and the sha256 that follows."""

    def __init__(self, file: File, blobs: Path) -> None:
        """Open what an earlier run left, or an empty file of the right length."""
        self.file = file
        self.blob = blobs / file.sha256
        self._partial = blobs / f"{file.sha256}.partial"
        self._journal_path = blobs / f"{file.sha256}.journal"
        self.journal = Journal(self._journal_path, file)
        self._fd = _open_writable(self._partial)
        # A lost write is reported once to each descriptor: the last word on a file needs its own.
        self._check_fd = os.open(self._partial, os.O_RDONLY)
        os.ftruncate(self._fd, file.size_bytes)
        self._flushing = threading.Lock()
        self._loss: OSError | None = None
        self._front = self._dropped = 0
        # Pages that an earlier run's volume refused look written and are not: forget them all.
        self.flush()
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._sha256 = hashlib.sha256()
        self.unsynced = 0
        self.claimed: set[int] = set()
        """The segments that a connection fills at present."""
        self.address: Address | None = None
        self.resolving = threading.Lock()
        self.ranges = True
        self.wrong = 0
        self.finished = False

    def range(self, index: int) -> tuple[int, int]:
        """First byte that a segment lacks, and the one behind its last."""
        start = index * SEGMENT_BYTES
        end = min(start + SEGMENT_BYTES, self.file.size_bytes)
        return start + self.journal.written[index], end

    def unclaimed(self) -> Iterator[int]:
        """The segments that lack bytes and that nobody fills."""
        for index in range(len(self.journal.written)):
            at, end = self.range(index)
            if at < end and index not in self.claimed:
                yield index

    @property
    def done_bytes(self) -> int:
        """Bytes on the volume."""
        return sum(self.journal.written)

    def write(self, index: int, chunk: memoryview) -> None:
        """Add bytes to a segment: first the bytes, then their counter.

        Raises:
            OSError: when the volume refuses them, or lost earlier ones.
        """
        self._check_loss()
        at, end = self.range(index)
        if at + len(chunk) > end:
            raise AssertionError("a segment has two owners")
        rest = chunk
        while rest:
            count = os.pwrite(self._fd, rest, at)
            rest, at = rest[count:], at + count
        self._check_loss()
        self.journal.written[index] += len(chunk)
        self.journal.write(index)

    def flush(self) -> None:
        """Push what is written to the volume, and what is hashed out of memory.

        Raises:
            OSError: when the volume lost bytes; they are forgotten, so that the next run fetches
                them again.
        """
        with self._flushing:
            self._check_loss()
            before = list(self.journal.written)
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._loss = error
                self.journal.roll_back()
                raise
            for index, count in enumerate(before):
                if self.journal.synced[index] != count:
                    self.journal.synced[index] = count
                    self.journal.write(index)
            front = self._front
            if front > self._dropped:
                size = front - self._dropped
                os.posix_fadvise(self._fd, self._dropped, size, os.POSIX_FADV_DONTNEED)
                self._dropped = front

    def _check_loss(self) -> None:
        """Say again what the kernel says once: that it lost what was written."""
        if self._loss is not None:
            raise OSError(self._loss.errno, self._loss.strerror)

    def hash_front(self, buffer: memoryview, limit: int) -> int:
        """Hash what is on the volume behind the front, read back from there.

        Args:
            buffer: Where to read to.
            limit: Bytes at most.

        Returns:
            Bytes hashed; 0 when the next ones have not come yet.
        """
        hashed = 0
        while hashed < limit and self._front < self.file.size_bytes:
            available = self.range(self._front // SEGMENT_BYTES)[0] - self._front
            if available <= 0:
                break
            count = os.preadv(self._fd, [buffer[:available]], self._front)
            if count == 0:
                raise OSError(errno.EIO, "the partial file became shorter")
            self._sha256.update(buffer[:count])
            self._front += count
            hashed += count
        return hashed

    @property
    def hashed_whole(self) -> bool:
        """Whether the sha256 is that of the whole file."""
        return self._front == self.file.size_bytes

    def is_right(self) -> bool:
        """Whether the bytes on the volume are the ones of the plan."""
        return self._sha256.hexdigest() == self.file.sha256

    def start_over(self) -> None:
        """Forget every byte."""
        with self._flushing:
            self.journal.start_over()
            self._front = self._dropped = 0
        self._sha256 = hashlib.sha256()
        self.wrong += 1

    def finish(self) -> None:
        """Give the checked bytes their name; what was found wrong under it is set aside.

        Raises:
            OSError: when the volume lost bytes.
        """
        self.flush()
        os.fsync(self._check_fd)
        if self.blob.exists():
            with contextlib.suppress(FileExistsError):
                self.blob.with_suffix(".wrong").hardlink_to(self.blob)
        self._partial.replace(self.blob)
        _sync(self.blob.parent)
        os.fchmod(self._fd, 0o444)
        self._journal_path.unlink()
        self.finished = True

    def close(self) -> None:
        """Push out what is written and close."""
        with contextlib.suppress(OSError):
            self.flush()
        os.close(self._fd)
        os.close(self._check_fd)
        self.journal.close()


def _open_writable(path: Path) -> int:
    """Open a partial file; one of an earlier run may have become read-only."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        path.chmod(0o644)
        return os.open(path, os.O_RDWR)


class Lease:
    """Who writes on the volume: a file there with a heartbeat, because NFS may not keep locks.

    A waiting run takes over when the heartbeat stood still for `lease_s` by its own clock, so the
    hosts' clocks need not agree; on the same kernel, as soon as the holder's flock is gone. A
    holder that was paused writes nothing before it saw that the lease is still its own. Should two
    write for a moment all the same, they write the same bytes to the same places.

    It is taken over in place, not by a rename: an NFS client sees another content when it opens a
    file, but may believe for a minute that a name still means the old file.
    """

    NAME = ".lease"

    def __init__(self, models: Path, *, lease_s: float, wait_s: float) -> None:
        """Prepare; nothing is taken yet."""
        self._path = models / self.NAME
        self._lease_s = lease_s
        self._wait_s = wait_s
        self._token = secrets.token_hex(8)
        self._beats = 0
        self._fd = -1
        self._end = threading.Event()
        self._locked = False
        self._recorded = False
        self._lost = False
        self._error: OSError | None = None
        self._valid_until = 0.0

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            DownloadError: with BUSY when another run has it and goes on longer than `wait_s`.
        """
        deadline = _now_s() + self._wait_s
        seen: bytes | None = None
        seen_at, said = 0.0, False
        while not self._create():
            now = _now_s()
            other = self._read()
            if other != seen:
                seen, seen_at = other, now
            if (now - seen_at > self._lease_s or self._holder_died(other)) and self._take_over(
                other
            ):
                say(f"took over from {_holder(other)}, which ended without giving the volume back")
                break
            if now > deadline:
                raise DownloadError(
                    BUSY, f"{_holder(other)} writes on the volume; start again when it is done"
                )
            if not said:
                say(f"waiting for {_holder(other)}, which writes on the volume")
                said = True
            time.sleep(min(1.0, self._lease_s / 10))
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(OSError):
            if self._is_ours():
                self._path.unlink()
        os.close(self._fd)

    def check(self) -> None:
        """Wait until the last heartbeat is fresh: after a pause the volume may be another's.

        Raises:
            DownloadError: with BUSY when it is, with TRANSIENT when the heartbeat does not come.
        """
        waiting_since = _now_s()
        while _now_s() > self._valid_until:
            if self._lost:
                raise DownloadError(BUSY, "another run took the volume over during a pause")
            if _now_s() - waiting_since > self._lease_s:
                reason = self._error.strerror if self._error else "no answer"
                raise DownloadError(
                    TRANSIENT, f"{self._path}: the heartbeat cannot be written ({reason})"
                )
            time.sleep(0.05)

    def _content(self) -> bytes:
        record = {
            "holder": f"{socket.gethostname()} (process {os.getpid()})",
            "boot_id": boot_id(),
            "locked": self._locked,
            "token": self._token,
            "beats": self._beats,
        }
        return json.dumps(record).encode().ljust(512)

    def _write(self) -> None:
        started = _now_s()
        try:
            os.pwrite(self._fd, self._content(), 0)
            os.fsync(self._fd)
            self._recorded = True
        except OSError as error:
            # On a full volume an empty lease has to do: a prune is what helps there.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        self._valid_until = started + self._lease_s / 2

    def _create(self) -> bool:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        self._lock()
        self._write()
        return True

    def _lock(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locked = True

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def _holder_died(self, content: bytes) -> bool:
        """Whether the holder is of this kernel and its flock, which it had, is gone."""
        if _field(content, "boot_id") != boot_id() or _field(content, "locked") != "True":
            return False
        try:
            fd = os.open(self._path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def _take_over(self, seen: bytes) -> bool:
        try:
            self._fd = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return False
        self._lock()
        if self._read() == seen:
            self._write()
            # Another run may have seen the same standstill and come a moment later.
            time.sleep(min(2.0, self._lease_s / 10))
            if self._is_ours():
                return True
        os.close(self._fd)
        self._locked = False
        return False

    def _is_ours(self) -> bool:
        content = self._read()
        return _field(content, "token") == self._token or not (self._recorded or content)

    def _beat(self) -> None:
        while not self._end.wait(self._lease_s / 6):
            try:
                if not self._is_ours():
                    self._lost = True
                    self._valid_until = 0.0
                    return
                self._beats += 1
                self._write()
            except OSError as error:
                self._error = error


def _now_s() -> float:
    """A clock that also counts while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _field(content: bytes, name: str) -> str:
    try:
        return str(json.loads(content)[name])
    except (ValueError, KeyError, TypeError):
        return ""


def _holder(content: bytes) -> str:
    return _field(content, "holder") or "another run"


# ---- The hub -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a file's bytes are: at the hub, or signed at another host."""

    url: str
    at_hub: bool
    hops: int = 0
    """Redirects of other hosts that led here."""


class Hub:
    """Where files come from: a Hugging Face endpoint."""

    def __init__(self, endpoint: str, token: str | None, *, timeout_s: float = 30.0) -> None:
        """Talk to an endpoint, with a token where one is given.

        Raises:
            DownloadError: with NOT_AS_PLANNED when endpoint or token cannot be used.
        """
        self._endpoint = endpoint.rstrip("/")
        if not _is_address(self._endpoint):
            raise DownloadError(NOT_AS_PLANNED, f"HF_ENDPOINT {endpoint!r} is no http(s) address")
        token = (token or "").strip()
        if not all(33 <= ord(character) < 127 for character in token):
            raise DownloadError(NOT_AS_PLANNED, "HF_TOKEN holds what no token holds; set it anew")
        for scheme, proxy in urllib.request.getproxies().items():
            if scheme in ("http", "https") and not _is_address(_proxy_url(proxy)):
                raise DownloadError(
                    NOT_AS_PLANNED,
                    f"{scheme.upper()}_PROXY is no http://[login@]host:port address",
                )
        self._token = token
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    @classmethod
    def of_environment(cls, *, timeout_s: float = 30.0) -> Self:
        """Talk to HF_ENDPOINT, or the public hub, with HF_TOKEN where it is set.

        Raises:
            DownloadError: as the constructor.
        """
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return cls(endpoint, os.environ.get("HF_TOKEN"), timeout_s=timeout_s)

    def resolve(self, file: File) -> Address:
        """Ask the hub where a file's bytes are; one request, whatever the file's length.

        Raises:
            DownloadError: when the hub refuses, or has other bytes than planned.
            _RetryError: when another attempt may succeed.
        """
        path = "/".join(
            (file.repository, "resolve", urllib.parse.quote(file.revision, safe=""), file.name)
        )
        url = f"{self._endpoint}/{path}"
        for _ in range(5):
            connection = Connection(self, Address(url=url, at_hub=True))
            try:
                response = connection.get(0, 0)
                headers = response.headers
                _check_promise(file, headers)
                if response.status not in (301, 302, 303, 307, 308):
                    self.check_status(file, response, at_hub=True)
                    return Address(url=url, at_hub=True)
                address = self.redirected(file, Address(url=url, at_hub=True), response)
            finally:
                connection.close()
            if not address.at_hub:
                return address
            url = address.url
        raise _in_a_circle(file)

    def redirected(
        self, file: File, address: Address, response: http.client.HTTPResponse
    ) -> Address:
        """Follow a redirect.

        Raises:
            DownloadError: when there were too many of them.
            _RetryError: when it leads to no address.
        """
        if address.hops == 5:
            raise _in_a_circle(file)
        try:
            url = urllib.parse.urljoin(address.url, response.headers["Location"] or "")
        except ValueError as error:
            raise _RetryError("a redirect to no address") from error
        if not _is_address(url):
            raise _RetryError("a redirect to no address")
        return Address(url=url, at_hub=self._is_own(url), hops=address.hops + 1)

    def check_status(
        self, file: File, response: http.client.HTTPResponse, *, at_hub: bool
    ) -> None:
        """Say what a status means; the address is not said, because it may be a signed one.

        Raises:
            DownloadError: when no other attempt can help.
            _RetryError: when one can.
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
        raise _RetryError(f"HTTP {status}", _retry_after_s(response))

    def _is_own(self, url: str) -> bool:
        """Whether an address is of the hub's own origin: only there does the token go."""
        return _origin(self._endpoint) == _origin(url)

    def headers(self, address: Address) -> dict[str, str]:
        """Headers for an address; the token leaves for the hub alone."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "llama-cpp-infra/download.py"}
        if self._token and address.at_hub:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def connect(
        self, url: urllib.parse.SplitResult
    ) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """Open a connection, through the proxy that the environment names for it.

        Returns:
            Connection, what goes before the path of a request, and headers for the proxy.
        """
        host = url.hostname or ""
        proxy = urllib.request.getproxies().get(url.scheme)
        if proxy is None or urllib.request.proxy_bypass(url.netloc):
            proxied = None
            at = (host, url.port)
        else:
            proxied = urllib.parse.urlsplit(_proxy_url(proxy))
            at = (proxied.hostname or "", proxied.port)
        headers = {}
        if proxied and proxied.username:
            login = f"{proxied.username}:{proxied.password or ''}"
            login = urllib.parse.unquote(login)
            headers["Proxy-Authorization"] = "Basic " + b64encode(login.encode()).decode()
        if url.scheme == "http":
            plain = http.client.HTTPConnection(*at, timeout=self._timeout_s)
            return plain, f"http://{url.netloc}" if proxied else "", headers
        secure = http.client.HTTPSConnection(*at, timeout=self._timeout_s, context=self._tls)
        if proxied:
            secure.set_tunnel(host, url.port or 443, headers)
        return secure, "", {}


class Response(http.client.HTTPResponse):
    """An answer that hands over what has come, instead of waiting until a buffer is full.

    Without this a connection that trickles looks like one that works.
    """

    def read_some(self, buffer: memoryview) -> int:
        """Read what is there, waiting only for the first byte; 0 at the end."""
        if self.fp is None:
            return 0
        if self.length is None:
            return self.readinto(buffer)
        count: int = self.fp.readinto1(buffer[: self.length])
        self.length -= count
        if count == 0 or self.length == 0:
            self.close()
        return count


class Connection:
    """One connection to where a file's bytes are, used for one segment after the other."""

    def __init__(self, hub: Hub, address: Address) -> None:
        """Prepare; it opens with the first request."""
        self.address = address
        self._url = urllib.parse.urlsplit(address.url)
        self._connection, self._before_path, proxy_headers = hub.connect(self._url)
        self._connection.response_class = Response
        self._headers = hub.headers(address) | proxy_headers

    def get(self, first: int, last: int) -> Response:
        """Ask for the bytes from first to last, both included.

        Raises:
            DownloadError: when this host, or the proxy on the way, will never answer.
            _RetryError: when no answer comes.
        """
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            self._connection.request(
                "GET",
                self._before_path + path,
                headers=self._headers | {"Range": f"bytes={first}-{last}"},
            )
            return cast(Response, self._connection.getresponse())
        except ssl.SSLCertVerificationError as error:
            raise DownloadError(
                NOT_AS_PLANNED,
                f"{self._url.hostname}: its certificate is not trusted ({error.verify_message})",
            ) from error
        except OSError as error:
            # http.client says the proxy's status in its text alone.
            if match := re.fullmatch(r"Tunnel connection failed: (403|407)\b.*", str(error)):
                raise DownloadError(
                    NO_ACCESS, f"{self._url.hostname}: the proxy refuses it (HTTP {match[1]})"
                ) from error
            raise _RetryError(_reason(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise _RetryError(_reason(error)) from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _reason(error: Exception) -> str:
    """Say what went wrong without the text of http.client, which may hold a signed address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and (error.strerror or error.args):
        return f"{type(error).__name__}: {error.strerror or error.args[0]}"
    return type(error).__name__


def _in_a_circle(file: File) -> DownloadError:
    return DownloadError(NOT_AS_PLANNED, f"{file.name}: the hub redirects in a circle")


def _is_address(url: str) -> bool:
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    return False


def _proxy_url(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0


def _check_promise(file: File, headers: http.client.HTTPMessage) -> None:
    """Compare what the hub says of a file with the plan, before gigabytes say it."""
    promised = headers.get("X-Linked-Etag", "").strip('W/"')
    if _SHA256.fullmatch(promised) and promised != file.sha256:
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


# ---- The transfer --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How patient and how greedy a run is."""

    connections: int = 16
    """At most, in all."""
    patience_s: float = 120.0
    """The run ends when no byte came for so long."""
    lease_s: float = 60.0
    wait_s: float = 600.0
    """How long to wait for another run on the same volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the run is."""

    files: tuple[tuple[File, int], ...]
    """Each file with its bytes on the volume."""
    rate: float
    """Bytes a second, of late."""
    trouble: str = ""
    """Why a connection failed last; empty when none did."""

    @property
    def done_bytes(self) -> int:
        """Bytes on the volume."""
        return sum(done for _, done in self.files)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file, _ in self.files)

    def pace(self) -> str:
        """Say how fast it goes, and how long that takes."""
        left = self.total_bytes - self.done_bytes
        if left == 0:
            return "checking"
        if self.rate == 0:
            return f"standing still{f' ({self.trouble})' if self.trouble else ''}"
        return f"{self.rate / 1e6:.1f} MB/s, {left / self.rate:.0f} s left"


Report = Callable[[Progress], None]


class PlainReport:
    """A line every few seconds: percent, MB/s and the time that is left."""

    def __init__(self, every_s: float = 5.0) -> None:
        """Say something every so often."""
        self._every_s = every_s
        self._said = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Say how far the run is, unless that was said a moment ago."""
        if time.monotonic() - self._said < self._every_s:
            return
        self._said = time.monotonic()
        current = next((file.name for file, done in progress.files if done < file.size_bytes), "")
        say(
            f"{100 * progress.done_bytes / progress.total_bytes:.1f} % of "
            f"{size_text(progress.total_bytes)}, {progress.pace()}"
            + (f"; {current}" if current else "")
        )


@dataclass(slots=True)
class _Rates:
    """What connections usually give, from the segments that came of late."""

    recent: collections.deque[float] = field(default_factory=lambda: collections.deque(maxlen=32))

    def add(self, rate: float) -> None:
        self.recent.append(rate)

    def is_slow(self, rate: float) -> bool:
        return len(self.recent) >= 4 and rate < SLOW_SHARE * statistics.median(self.recent)


class _Growth:
    """When more connections are worth it."""

    def __init__(self, done: int) -> None:
        self._done = done
        self._since = time.monotonic()
        self._rate = 0.0

    def is_due(self, done: int) -> bool:
        """Whether the last ones made the whole faster, or that was asked long ago."""
        passed_s = time.monotonic() - self._since
        if passed_s < GROW_S:
            return False
        rate = (done - self._done) / passed_s
        if rate < 1.2 * self._rate and passed_s < GROW_ANYWAY_S:
            return False
        self._done, self._since, self._rate = done, time.monotonic(), rate
        return True


class Run:
    """All missing files at once: connections fill segments, one thread hashes, one flushes."""

    def __init__(
        self,
        plan: Plan,
        missing: list[File],
        models: Path,
        hub: Hub,
        options: Options,
        lease: Lease,
    ) -> None:
        """Prepare the transfers of the plan's missing files."""
        self._plan = plan
        self._models = models
        self._hub = hub
        self._options = options
        self._lease = lease
        self._transfers = [Transfer(file, models / "blobs") for file in missing]
        self._lock = threading.Condition()
        self._unhashed = len(self._transfers)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._last_byte = time.monotonic()
        self._not_before = 0.0
        self._trouble = ""
        self._rates = _Rates()

    def __call__(self, report: Report) -> None:
        """Bring every file to the volume.

        Raises:
            DownloadError: when that cannot be done.
        """
        limit = self._options.connections
        threads: list[threading.Thread] = []
        done = sum(transfer.done_bytes for transfer in self._transfers)
        speed, growth = _Speed(done), _Growth(done)
        try:
            self._start(threads, self._hash, self._flush)
            connections = min(FIRST_CONNECTIONS, limit)
            self._start(threads, *[self._connect] * connections)
            while self._unhashed and self._error is None:
                with self._lock:
                    self._lock.wait(0.1)
                files = tuple((each.file, each.done_bytes) for each in self._transfers)
                done = sum(count for _, count in files)
                report(Progress(files=files, rate=speed.at(done), trouble=self._trouble))
                if connections < limit and growth.is_due(done):
                    more = min(connections, limit - connections)
                    self._start(threads, *[self._connect] * more)
                    connections += more
        finally:
            self._stop.set()
            with self._lock:
                self._lock.notify_all()
            # A connection may hang in its read for longer than the pod has to end.
            end = time.monotonic() + 3
            for thread in threads:
                thread.join(timeout=max(0.0, end - time.monotonic()))
            if not any(thread.is_alive() for thread in threads):
                for transfer in self._transfers:
                    transfer.close()
        if self._error is not None:
            raise self._error

    def _start(self, threads: list[threading.Thread], *targets: Callable[[], None]) -> None:
        for target in targets:
            threads.append(threading.Thread(target=self._guard, args=(target,), daemon=True))
            threads[-1].start()

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            with self._lock:
                if not self._stop.is_set():
                    self._error = error
                self._stop.set()
                self._lock.notify_all()

    # One connection's thread.

    def _connect(self) -> None:
        connection: Connection | None = None
        buffer = memoryview(bytearray(CHUNK_BYTES))
        failures: collections.Counter[Transfer] = collections.Counter()
        put_off: dict[Transfer, float] = {}
        try:
            while (item := self._take(put_off)) is not None:
                transfer, index = item
                before = transfer.range(index)[0]
                try:
                    address = self._address(transfer)
                    if connection is None or connection.address != address:
                        if connection is not None:
                            connection.close()
                        connection = Connection(self._hub, address)
                    self._receive(connection, transfer, index, buffer)
                    failures[transfer] = 0
                except _RetryError as error:
                    if connection is not None:
                        connection.close()
                    progress = transfer.range(index)[0] > before
                    failures[transfer] = 0 if progress else failures[transfer] + 1
                    pause_s = self._pause_s(str(error), transfer, failures[transfer], error.wait_s)
                    put_off[transfer] = time.monotonic() + pause_s
                self._release(transfer, index)
        finally:
            if connection is not None:
                connection.close()

    def _take(self, put_off: dict[Transfer, float]) -> tuple[Transfer, int] | None:
        """Wait for a segment to fill, and claim it; None when there is nothing left to do.

        Args:
            put_off: Until when this connection leaves a file to others, after it failed with it.
        """
        with self._lock:
            while not self._stop.is_set() and self._unhashed:
                now = time.monotonic()
                for transfer in self._transfers:
                    if (
                        not transfer.ranges
                        or max(put_off.get(transfer, 0), self._not_before) > now
                    ):
                        continue
                    index = next(transfer.unclaimed(), None)
                    if index is not None:
                        transfer.claimed.add(index)
                        return transfer, index
                pauses = (until - now for until in put_off.values())
                self._lock.wait(min([0.5, *(pause_s for pause_s in pauses if pause_s > 0)]))
        return None

    def _release(self, transfer: Transfer, *indices: int) -> None:
        with self._lock:
            transfer.claimed.difference_update(indices)
            self._lock.notify_all()

    def _pause_s(self, reason: str, transfer: Transfer, failures: int, wait_s: float) -> float:
        """Say for how long a connection leaves a file alone with which it failed, or give up.

        Raises:
            DownloadError: with TRANSIENT when nothing came for too long.
        """
        self._trouble = reason
        silent_s = time.monotonic() - self._last_byte
        patience_s = self._options.patience_s
        if silent_s > patience_s or wait_s > patience_s:
            asked = f"; the server asks for a pause of {wait_s:.0f} s" if wait_s else ""
            raise DownloadError(
                TRANSIENT,
                f"{transfer.file.name}: {reason}, and no byte for {silent_s:.0f} s{asked}",
            )
        if wait_s:
            self._not_before = time.monotonic() + wait_s
        return min(RETRY_S * 2.0 ** (failures - 1), 30.0, patience_s / 4) if failures else 0.0

    def _address(self, transfer: Transfer) -> Address:
        with transfer.resolving:
            if transfer.address is None:
                transfer.address = self._hub.resolve(transfer.file)
            return transfer.address

    def _receive(
        self, connection: Connection, transfer: Transfer, index: int, buffer: memoryview
    ) -> None:
        """Fill a segment.

        Raises:
            DownloadError: when the answer shows that the file is not the planned one.
            _RetryError: when the segment is not full and another connection may fill it.
        """
        first, end = transfer.range(index)
        if first == end:
            return
        response = connection.get(first, end - 1)
        if response.status in (301, 302, 303, 307, 308) and not connection.address.at_hub:
            transfer.address = self._hub.redirected(transfer.file, connection.address, response)
            raise _RetryError(f"HTTP {response.status}")
        if 300 <= response.status < 400 or (
            not connection.address.at_hub and response.status in (400, 401, 403, 404, 410)
        ):
            # A signed address that is no longer good, not a refusal: only the hub refuses.
            transfer.address = None
            raise _RetryError(f"HTTP {response.status} of a signed address")
        self._hub.check_status(transfer.file, response, at_hub=connection.address.at_hub)
        if response.status == 200:
            try:
                self._receive_whole(response, transfer, index, buffer)
            finally:
                connection.close()
            return
        expected = f"bytes {first}-{end - 1}/{transfer.file.size_bytes}"
        found = response.headers.get("Content-Range", "")
        total = found.rpartition("/")[2]
        if total.isdecimal() and int(total) != transfer.file.size_bytes:
            raise DownloadError(
                NOT_AS_PLANNED,
                f"{transfer.file.repository} {transfer.file.name}: the hub has {total[:20]} "
                f"bytes, not {transfer.file.size_bytes}; lock it anew",
            )
        if found != expected or response.length not in (None, end - first):
            raise _RetryError("another range than was asked for")
        self._fill(response, transfer, index, buffer)

    def _fill(
        self,
        response: Response,
        transfer: Transfer,
        index: int,
        buffer: memoryview,
    ) -> None:
        at, end = transfer.range(index)
        size = end - at
        started = window_started = time.monotonic()
        window = held = 0
        while at < end:
            try:
                count = self._read(response, buffer[held : end - at])
            except _RetryError:
                self._write(transfer, index, buffer[:held])
                raise
            if count == 0:
                self._write(transfer, index, buffer[:held])
                raise _RetryError("the connection ended early")
            held += count
            # An NFS client reads a page from the server before it changes a part of it.
            whole = held if at + held == end else max(0, held - (at + held) % mmap.PAGESIZE)
            self._write(transfer, index, buffer[:whole])
            buffer[: held - whole] = buffer[whole:held]
            at, held, window = at + whole, held - whole, window + count
            now = time.monotonic()
            if now - window_started >= SLOW_WINDOW_S:
                rate = window / (now - window_started)
                if self._rates.is_slow(rate):
                    # When the whole line became slower, this is what is usual from now on.
                    self._rates.add(rate)
                    self._write(transfer, index, buffer[:held])
                    raise _RetryError("a slow connection")
                window, window_started = 0, now
        if size == SEGMENT_BYTES:
            self._rates.add(size / max(time.monotonic() - started, 1e-6))

    def _receive_whole(
        self,
        response: Response,
        transfer: Transfer,
        index: int,
        buffer: memoryview,
    ) -> None:
        """Take a file from a server that knows no ranges: one connection, from the start."""
        if response.length not in (None, transfer.file.size_bytes):
            raise _RetryError(f"{response.length} bytes instead of {transfer.file.size_bytes}")
        with self._lock:
            first_to_know, transfer.ranges = transfer.ranges, False
            ours = [index, *transfer.unclaimed()] if first_to_know else []
            transfer.claimed.update(ours)
        if not first_to_know:
            return  # Another connection is at it, and this segment comes after it.
        try:
            for each in range(max(ours) + 1):
                start = each * SEGMENT_BYTES
                end = transfer.range(each)[1]
                while start < end:
                    count = self._read(response, buffer[: end - start])
                    if count == 0:
                        raise _RetryError("the connection ended early; the server knows no ranges")
                    there = max(0, transfer.range(each)[0] - start)
                    if each in ours and there < count:
                        self._write(transfer, each, buffer[there:count])
                    start += count
        finally:
            with self._lock:
                transfer.ranges = True
            # This connection's own segment is released by the one that took it.
            self._release(transfer, *ours[1:])

    def _read(self, response: Response, buffer: memoryview) -> int:
        if self._stop.is_set():
            raise _RetryError("the run ends")
        count = 0
        old_at = time.monotonic() + CHUNK_S
        try:
            while count < len(buffer) and (count == 0 or time.monotonic() < old_at):
                more = response.read_some(buffer[count:])
                if more == 0:
                    break
                count += more
        except (OSError, http.client.HTTPException, ValueError) as error:
            if count == 0:
                raise _RetryError(_reason(error)) from error
        return count

    def _write(self, transfer: Transfer, index: int, chunk: memoryview) -> None:
        if not chunk:
            return
        if self._stop.is_set():
            raise _RetryError("the run ends")
        self._lease.check()
        transfer.write(index, chunk)
        self._last_byte = time.monotonic()
        with self._lock:
            transfer.unsynced += len(chunk)
            if transfer.unsynced >= FLUSH_BYTES:
                self._lock.notify_all()
            while transfer.unsynced >= 2 * FLUSH_BYTES and not self._stop.is_set():
                self._lock.wait(0.5)

    # The flushing and the hashing thread.

    def _flush(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                full = [each for each in self._transfers if each.unsynced >= FLUSH_BYTES]
                if not full:
                    self._lock.wait(0.5)
                    continue
                counts = [each.unsynced for each in full]
            for transfer, count in zip(full, counts, strict=True):
                transfer.flush()
                with self._lock:
                    transfer.unsynced -= count
                    self._lock.notify_all()

    def _hash(self) -> None:
        buffer = memoryview(bytearray(MIB))
        while not self._stop.is_set():
            if not any(self._hash_on(each, buffer) for each in self._transfers):
                self._stop.wait(0.02)

    def _hash_on(self, transfer: Transfer, buffer: memoryview) -> bool:
        """Hash what has come of a file, and finish it when that is all; whether anything had."""
        if transfer.finished:
            return False
        hashed = transfer.hash_front(buffer, FLUSH_BYTES)
        if transfer.hashed_whole:
            if transfer.is_right():
                self._finish(transfer)
            else:
                self._again(transfer)
        return hashed > 0

    def _finish(self, transfer: Transfer) -> None:
        self._lease.check()
        transfer.finish()
        file = transfer.file
        say(f"{file.name}: complete, {size_text(file.size_bytes)}, sha256 {file.sha256[:12]}")
        unfinished = (each.file.sha256 for each in self._transfers if not each.finished)
        publish(self._models, self._plan, but=frozenset(unfinished))
        with self._lock:
            self._unhashed -= 1
            self._lock.notify_all()

    def _again(self, transfer: Transfer) -> None:
        name = f"{transfer.file.repository} {transfer.file.name}"
        transfer.start_over()
        if transfer.wrong == 2:
            raise DownloadError(BAD_DATA, f"{name}: wrong bytes twice; lock it anew")
        say(f"{name}: the sha256 is wrong; downloading it once more")
        transfer.address = None
        with self._lock:
            self._lock.notify_all()


class _Speed:
    """Bytes a second over the last ten seconds."""

    def __init__(self, done: int) -> None:
        self._points = collections.deque([(time.monotonic(), done)])

    def at(self, done: int) -> float:
        now = time.monotonic()
        self._points.append((now, done))
        while now - self._points[0][0] > 10 and len(self._points) > 2:
            self._points.popleft()
        since, before = self._points[0]
        return max(0, done - before) / (now - since) if now > since else 0.0


def pull(
    plan: Plan,
    models: Path,
    hub: Hub,
    *,
    wrong: frozenset[str] = frozenset(),
    publishing: bool = True,
    options: Options | None = None,
    report: Report,
) -> None:
    """Make the volume hold what the plan says; what it holds already costs no request.

    Args:
        plan: The plan.
        models: The volume's directory.
        hub: Where missing files come from.
        wrong: The sha256 of files that are there with other bytes: each is replaced when the right
            ones have come, and set aside. Left out: none.
        publishing: Whether each model's link moves when its files are there; when not, what is
            served stays as it is.
        options: How patient and greedy; left out: the defaults.
        report: Takes the progress, several times a second.

    Raises:
        DownloadError: when that cannot be done.
    """
    options = options or Options()
    if wrong or not _is_whole(plan, models):
        models.mkdir(parents=True, exist_ok=True)
        with Lease(models, lease_s=options.lease_s, wait_s=options.wait_s) as lease:
            (models / "blobs").mkdir(exist_ok=True)
            missing = [
                file
                for file in plan.files
                if file.sha256 in wrong or not is_complete(models, file)
            ]
            _clear(models, plan, keep={file.sha256 for file in missing})
            if missing:
                check_space(models, missing)
                published = plan if publishing else Plan(files=plan.files, models={})
                Run(published, missing, models, hub, options, lease)(report)
            if publishing:
                publish(models, plan)
            _clear(models, plan)
    said = "are there" if publishing else "are there, and not published"
    say(f"all {len(plan.files)} files of {len(plan.models)} models {said}")


def _clear(models: Path, plan: Plan, keep: Container[str] = ()) -> None:
    for path in list(_leftovers(models, plan)):
        if path.name != Lease.NAME and path.stem not in keep:
            _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _is_whole(plan: Plan, models: Path) -> bool:
    return (
        all(is_complete(models, file) for file in plan.files)
        and all(is_published(models, model, links) for model, links in plan.models.items())
        and not any(_leftovers(models, plan))
    )


def _leftovers(models: Path, plan: Plan) -> Iterator[Path]:
    """Find what a killed run left behind, and notes of a prune on what is needed again."""
    yield from models.glob(".lease*")
    yield from models.glob(".*.????????")
    yield from (models / "sets").glob(".*")
    for path in (models / "blobs").glob("*.*"):
        if path.suffix in (".partial", ".journal") and path.with_suffix("").exists():
            yield path
    needed = [file.sha256 for file in plan.files]
    needed += [name for model, links in plan.models.items() for name in (model, set_name(links))]
    for name in needed:
        if (note := models / ".unneeded" / name).exists():
            yield note


# ---- Upkeep --------------------------------------------------------------------------------


def verify(models: Path, *, rate_mb_s: float) -> frozenset[str]:
    """Hash every blob again, read from the volume itself and not from memory.

    Args:
        models: The volume's directory.
        rate_mb_s: Megabytes a second at most.

    Returns:
        The names, which are the right sha256, of those whose bytes are others.
    """
    blobs = _blobs(models)
    wrong = []
    for blob in blobs:
        started = time.monotonic()
        digest = hash_file(blob, rate_mb_s)
        seconds = max(time.monotonic() - started, 1e-6)
        size = blob.stat().st_size
        right = digest == blob.name
        say(
            f"blobs/{blob.name}: {'right' if right else f'WRONG, its sha256 is {digest}'}, "
            f"{size_text(size)}, {size / 1e6 / seconds:.0f} MB/s"
        )
        if not right:
            wrong.append(blob.name)
    say(f"{len(blobs)} files are hashed, {len(wrong)} are wrong")
    return frozenset(wrong)


def wrong_text(models: Path, wrong: frozenset[str]) -> str:
    """Say which blobs are wrong."""
    names = ", ".join(name[:12] for name in sorted(wrong))
    return f"{models}: {len(wrong)} wrong blobs ({names})"


def _blobs(models: Path) -> list[Path]:
    found = [path for path in (models / "blobs").glob("*") if _SHA256.fullmatch(path.name)]
    return sorted(found)


def hash_file(path: Path, rate_mb_s: float = math.inf) -> str:
    """Hash a file at so many MB/s at most, past the page cache: a warm model stays warm."""
    sha256 = hashlib.sha256()
    buffer = mmap.mmap(-1, 4 * MIB)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        fd = os.open(path, os.O_RDONLY)
    started = time.monotonic()
    done = 0
    try:
        while count := os.preadv(fd, [buffer], done):
            sha256.update(memoryview(buffer)[:count])
            done += count
            time.sleep(max(0.0, done / 1e6 / rate_mb_s - (time.monotonic() - started)))
    finally:
        os.close(fd)
    return sha256.hexdigest()


def unneeded(models: Path, plan: Plan) -> Iterator[tuple[Path, int]]:
    """Find what neither the plan nor a model's link names.

    Yields:
        A path and the bytes that its removal frees. First models of no plan, then what they held.
    """
    planned = {file.sha256 for file in plan.files}
    sets = {set_name(links) for links in plan.models.values()}
    for path in sorted(models.glob("*")):
        if path.is_symlink() and path.name not in plan.models:
            yield path, 0
            continue
        if path.is_symlink():
            sets.add(path.readlink().name)
    for folder in sorted((models / "sets").glob("*")):
        if folder.name not in sets:
            yield folder, 0
        else:
            planned.update(link.readlink().name for link in folder.iterdir())
    for path in sorted((models / "blobs").glob("*")):
        if path.name.partition(".")[0] not in planned or path.suffix == ".wrong":
            yield path, path.stat().st_blocks * 512


def prune(
    models: Path, plan: Plan, *, grace_s: float, dry_run: bool, options: Options | None = None
) -> None:
    """Remove what has been unneeded for the whole grace period.

    The period starts when a prune first sees a thing unneeded (a note in `.unneeded`), and is
    measured by the volume's own clock. A rollback within it costs no download.

    Args:
        models: The volume's directory.
        plan: The plan.
        grace_s: Seconds that a thing stays.
        dry_run: Whether only to say what would happen.
        options: How long to wait for another run; left out: the defaults.

    Raises:
        DownloadError: with BUSY when another run has the volume.
    """
    options = options or Options()
    with contextlib.ExitStack() as stack:
        if not dry_run:
            stack.enter_context(Lease(models, lease_s=options.lease_s, wait_s=options.wait_s))
        _prune(models, plan, grace_s=grace_s, dry_run=dry_run)


def _prune(models: Path, plan: Plan, *, grace_s: float, dry_run: bool) -> None:
    notes = models / ".unneeded"
    if not dry_run:
        notes.mkdir(exist_ok=True)
    now = _volume_time(models) if not dry_run else time.time()
    freed = waiting = 0
    found = list(unneeded(models, plan))
    for path, size_bytes in found:
        note = notes / path.name
        if not note.exists() and not dry_run:
            note.touch()
        age_s = max(0.0, now - note.stat().st_mtime) if note.exists() else 0.0
        size = size_text(size_bytes) if size_bytes else "a link"
        what = f"{path.relative_to(models)}: {size}"
        if age_s < grace_s:
            waiting += size_bytes
            say(f"{what}, stays {(grace_s - age_s) / 3600:.1f} h more")
            continue
        freed += size_bytes
        say(f"{what}, {'would be removed' if dry_run else 'removed'}")
        if not dry_run:
            _remove(path)
            note.unlink()
    for note in notes.glob("*") if not dry_run else ():
        if note.name not in {path.name for path, _ in found}:
            note.unlink()
    say(
        f"{size_text(freed)} {'would be' if dry_run else 'are'} freed, "
        f"{size_text(waiting)} wait for the end of their grace period"
    )


def _volume_time(models: Path) -> float:
    probe = models / f".clock.{secrets.token_hex(4)}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


# ---- The program ---------------------------------------------------------------------------


def volume_error(models: Path, error: OSError) -> DownloadError:
    """Say what an error of the volume means for a retry."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(NO_SPACE, f"{models}: the volume is full; enlarge it, or --prune")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return DownloadError(
            NOT_AS_PLANNED,
            f"{models}: {error.strerror}; it must be a directory, writable to user {os.getuid()}",
        )
    return DownloadError(TRANSIENT, f"{models}: {error.strerror or error}")


def _end(number: int, _frame: FrameType | None) -> None:
    raise DownloadError(TRANSIENT, f"ended by signal {number}; the next run goes on from here")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="download.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--plan", type=Path, required=True, help="the plan, JSON")
    add("--models", type=Path, required=True, help="the volume's directory")
    add("--connections", type=int, default=Options().connections, help="default: %(default)s")
    add("--timeout-s", type=float, default=30.0, help="silence of one connection (%(default)s)")
    add("--patience-s", type=float, default=Options().patience_s, help="of all (%(default)s)")
    add("--lease-s", type=float, default=Options().lease_s, help="a dead run's (%(default)s)")
    add("--wait-s", type=float, default=Options().wait_s, help="for another run (%(default)s)")
    add("--verify", action="store_true", help="hash what is on the volume; download nothing")
    add("--quarantine", action="store_true", help="with --verify: replace what is wrong")
    add("--rate-mb-s", type=float, default=100.0, help="of --verify (%(default)s)")
    add("--prune", action="store_true", help="remove what nothing names; download nothing")
    add("--grace-h", type=float, default=168.0, help="with --prune: hours it stays (%(default)s)")
    add("--dry-run", action="store_true", help="with --prune: only list it")
    return parser


def run(options: argparse.Namespace) -> None:
    """Do what the command line says.

    Raises:
        DownloadError: when it cannot be done.
    """
    plan = read_plan(options.plan)
    how = Options(
        connections=options.connections,
        patience_s=options.patience_s,
        lease_s=options.lease_s,
        wait_s=options.wait_s,
    )
    if options.prune:
        prune(
            options.models,
            plan,
            grace_s=options.grace_h * 3600,
            dry_run=options.dry_run,
            options=how,
        )
    wrong: frozenset[str] = frozenset()
    if options.verify:
        wrong = verify(options.models, rate_mb_s=options.rate_mb_s)
    if options.quarantine or not (options.prune or options.verify):
        hub = Hub.of_environment(timeout_s=options.timeout_s)
        pull(plan, options.models, hub, wrong=wrong, options=how, report=PlainReport())
    if wrong:
        then = "those of the plan were" if options.quarantine else "--quarantine has them"
        raise DownloadError(BAD_DATA, f"{wrong_text(options.models, wrong)}; {then} replaced")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit code says what the Job should do."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.connections < 1 or min(options.rate_mb_s, options.lease_s, options.timeout_s) <= 0:
        parser.error("--connections, --rate-mb-s, --lease-s and --timeout-s are above 0")
    if (options.quarantine and not options.verify) or (options.dry_run and not options.prune):
        parser.error("--quarantine goes with --verify, --dry-run with --prune")
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        run(options)
    except (DownloadError, OSError) as error:
        known = error if isinstance(error, DownloadError) else volume_error(options.models, error)
        print(f"error: {known}", file=sys.stderr, flush=True)
        return known.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
