"""The download of one file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from .contract import JOURNAL, PARTIAL
from .journal import SEGMENT_BYTES, Journal
from .opening import open_file, require_file
from .plan import File
from .volume import name_blob


class Transfer:
    """The download of one file: its bytes on the volume, the journal and the sha256."""

    def __init__(self, file: File, blobs: Path) -> None:
        """Open an earlier run's partial file, or an empty file of the final size."""
        self.file = file
        self.blob = blobs / file.sha256
        self._partial = self.blob.with_suffix(PARTIAL)
        self._journal_path = self.blob.with_suffix(JOURNAL)
        self.journal = Journal(self._journal_path, file)
        self._fd = _open_writable(self._partial)
        # The kernel reports a lost write once to each descriptor: the final check needs its own.
        self._check_fd = open_file(self._partial, os.O_RDONLY)
        os.ftruncate(self._fd, file.size_bytes)
        self._flushing = threading.Lock()
        self._loss: OSError | None = None
        self._front = self._dropped = 0
        # Drop cached pages: those that the volume refused in an earlier run look written.
        self.flush()
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._sha256 = hashlib.sha256()
        self.wrong = 0
        self.finished = False

    def range(self, index: int) -> tuple[int, int]:
        """Return the first missing byte of a segment and the end of the segment."""
        start = index * SEGMENT_BYTES
        end = min(start + SEGMENT_BYTES, self.file.size_bytes)
        return start + self.journal.written[index], end

    def lacking(self) -> Iterator[int]:
        """Yield the incomplete segments."""
        for index in range(len(self.journal.written)):
            start, end = self.range(index)
            if start < end:
                yield index

    @property
    def done_bytes(self) -> int:
        """Bytes on the volume."""
        return sum(self.journal.written)

    def write(self, index: int, chunk: memoryview) -> None:
        """Append bytes to a segment, then update its counter.

        Raises:
            OSError: when the volume refuses the bytes or has lost earlier ones.
        """
        self._check_loss()
        position, end = self.range(index)
        if position + len(chunk) > end:
            raise AssertionError("a segment has two owners")
        rest = chunk
        while rest:
            count = os.pwrite(self._fd, rest, position)
            rest, position = rest[count:], position + count
        self._check_loss()
        self.journal.written[index] += len(chunk)
        self.journal.write(index)

    def flush(self) -> None:
        """Sync written bytes to the volume and drop hashed bytes from the page cache.

        Raises:
            OSError: when the volume lost bytes; the journal rolls back, so that the next run
                downloads them again.
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
        """Raise the error of a lost write again: the kernel reports it only once."""
        if self._loss is not None:
            raise OSError(self._loss.errno, self._loss.strerror)

    def hash_front(self, buffer: memoryview, limit: int) -> int:
        """Hash the next bytes, read back from the volume.

        Args:
            buffer: Buffer to read into.
            limit: Bytes at most.

        Returns:
            The number of hashed bytes; 0 if the next ones are missing.
        """
        hashed = 0
        while hashed < limit and self._front < self.file.size_bytes:
            available = self.range(self._front // SEGMENT_BYTES)[0] - self._front
            if available <= 0:
                break
            count = os.preadv(self._fd, [buffer[:available]], self._front)
            if count == 0:
                raise OSError(errno.EIO, "the partial file was truncated")
            self._sha256.update(buffer[:count])
            self._front += count
            hashed += count
        return hashed

    @property
    def hashed_whole(self) -> bool:
        """Whether the whole file is hashed."""
        return self._front == self.file.size_bytes

    def is_right(self) -> bool:
        """Whether the sha256 is the planned one."""
        return self._sha256.hexdigest() == self.file.sha256

    def start_over(self) -> None:
        """Discard all bytes."""
        with self._flushing:
            self.journal.start_over()
            self._front = self._dropped = 0
        self._sha256 = hashlib.sha256()
        self.wrong += 1

    def finish(self) -> None:
        """Rename the checked file to its sha256, setting aside a wrong file of that name.

        Raises:
            OSError: when the volume lost bytes.
        """
        self.flush()
        os.fsync(self._check_fd)
        name_blob(self._partial, self.blob)
        with contextlib.suppress(OSError):  # FAT and some shares have no modes.
            os.fchmod(self._fd, 0o444)
        self._journal_path.unlink()
        self.finished = True

    def close(self) -> None:
        """Sync and close."""
        with contextlib.suppress(OSError):
            self.flush()
        os.close(self._fd)
        os.close(self._check_fd)
        self.journal.close()


def _open_writable(path: Path) -> int:
    """Open a partial file, which may be read-only after an earlier run."""
    try:
        return open_file(path, os.O_RDWR | os.O_CREAT)
    except PermissionError:
        require_file(path)
        path.chmod(0o644)
        return open_file(path, os.O_RDWR)
