"""The lease of the volume."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Self

from .contract import BUSY, LEASE_FILE, TRANSIENT
from .errors import DownloadError
from .journal import boot_id
from .opening import open_file, read_file
from .progress import Say


class Lease:
    """The right to write to the volume: a file with a heartbeat, because NFS may not keep locks.

    A waiting run takes over when the heartbeat has not changed for `lease_s` by its own clock, so
    the hosts' clocks need not agree; on the same kernel, as soon as the holder's flock is gone. A
    paused holder writes nothing before it has checked that it still has the lease. If two runs
    write for a moment nevertheless, they write the same bytes to the same places.

    A takeover writes in place instead of renaming: an NFS client sees new content when it opens a
    file, but may resolve a name to the old file for a minute.
    """

    def __init__(self, models: Path, *, lease_s: float, wait_s: float, say: Say) -> None:
        """Prepare; the lease is not acquired yet."""
        self._path = models / LEASE_FILE
        self._say = say
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
        """Acquire the lease.

        Raises:
            DownloadError: with BUSY when another run keeps it for longer than `wait_s`.
        """
        deadline = _now_s() + self._wait_s
        seen: bytes | None = None
        seen_at, reported = 0.0, False
        while not self._create():
            now = _now_s()
            content = self._read()
            if content != seen:
                seen, seen_at = content, now
            if (now - seen_at > self._lease_s or self._holder_died(content)) and self._take_over(
                content
            ):
                self._say(
                    f"took over the lease of {_holder(content)}, which ended without releasing it"
                )
                break
            if now > deadline:
                raise DownloadError(
                    BUSY, f"{_holder(content)} uses the volume. Try again when it has finished."
                )
            if not reported:
                self._say(f"waiting for {_holder(content)}, which uses the volume")
                reported = True
            time.sleep(min(1.0, self._lease_s / 10))
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(OSError, DownloadError):
            if self._is_ours():
                self._path.unlink()
        os.close(self._fd)

    def check(self) -> None:
        """Wait until the last heartbeat is recent: during a pause another run may have taken over.

        Raises:
            DownloadError: with BUSY when another run has, with TRANSIENT when no heartbeat comes.
        """
        waiting_since = _now_s()
        while _now_s() > self._valid_until:
            if self._lost:
                raise DownloadError(BUSY, "another run took over the volume during a pause")
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
            # A full volume has room for an empty lease only, and a prune must still be possible.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        self._valid_until = started + self._lease_s / 2

    def _create(self) -> bool:
        try:
            self._fd = open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
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
            return read_file(self._path)
        except FileNotFoundError:
            return b""

    def _holder_died(self, content: bytes) -> bool:
        """Whether the holder ran on this kernel, had an flock, and has lost it."""
        if _field(content, "boot_id") != boot_id() or _field(content, "locked") != "True":
            return False
        try:
            fd = open_file(self._path, os.O_RDWR)
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
            self._fd = open_file(self._path, os.O_RDWR)
        except FileNotFoundError:
            return False
        self._lock()
        if self._read() == seen:
            self._write()
            # Another run may have taken over a moment later for the same reason.
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
            except DownloadError:
                self._lost = True
                self._valid_until = 0.0
                return
            except OSError as error:
                self._error = error


def _now_s() -> float:
    """Return a clock that also runs while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _field(content: bytes, name: str) -> str:
    try:
        return str(json.loads(content)[name])
    except (ValueError, KeyError, TypeError):
        return ""


def _holder(content: bytes) -> str:
    return _field(content, "holder") or "another run"
