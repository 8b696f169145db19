"""Write a response into its segment."""

from __future__ import annotations

import http.client
import mmap
import time
from dataclasses import dataclass, field

from .connection import Response, reason_of
from .crew import Crew, Flusher
from .errors import RetryError
from .journal import SEGMENT_BYTES
from .lease import Lease
from .pace import Patience, Rates
from .transfer import Transfer

CHUNK_BYTES = 1 << 18
CHUNK_S = 0.05
"""A chunk is written when it is full or this old, so that a kill loses at most one chunk for each
connection."""
SLOW_WINDOW_S = 10.0
"""A connection that is slow for so long is reopened."""


@dataclass(slots=True, kw_only=True)
class Filler:
    """Writes the responses of one connection."""

    crew: Crew
    lease: Lease
    flusher: Flusher
    patience: Patience
    rates: Rates
    _buffer: memoryview = field(
        default_factory=lambda: memoryview(bytearray(CHUNK_BYTES)), init=False
    )

    def fill(self, response: Response, transfer: Transfer, index: int) -> None:
        """Fill the rest of a segment from a response with exactly these bytes.

        Raises:
            RetryError: when it is incomplete and another connection may fill it.
        """
        buffer = self._buffer
        at, end = transfer.range(index)
        size = end - at
        started = window_started = time.monotonic()
        window = held = 0
        while at < end:
            try:
                count = self._read(response, buffer[held : end - at])
            except RetryError:
                self._write(transfer, index, buffer[:held])
                raise
            if count == 0:
                self._write(transfer, index, buffer[:held])
                raise RetryError("the connection ended early")
            held += count
            # Write whole pages: an NFS client reads a page before it changes a part of it.
            whole = held if at + held == end else max(0, held - (at + held) % mmap.PAGESIZE)
            self._write(transfer, index, buffer[:whole])
            buffer[: held - whole] = buffer[whole:held]
            at, held, window = at + whole, held - whole, window + count
            now = time.monotonic()
            if now - window_started >= SLOW_WINDOW_S:
                rate = window / (now - window_started)
                if self.rates.is_slow(rate):
                    # If the whole network became slower, this rate becomes the usual one.
                    self.rates.add(rate)
                    self._write(transfer, index, buffer[:held])
                    raise RetryError("the connection is slow")
                window, window_started = 0, now
        if size == SEGMENT_BYTES:
            self.rates.add(size / max(time.monotonic() - started, 1e-6))

    def fill_all(self, response: Response, transfer: Transfer, ours: list[int]) -> None:
        """Fill segments from a response with the whole file.

        Raises:
            RetryError: when it ends before the last of them is full.
        """
        buffer = self._buffer
        for index in range(max(ours) + 1):
            start = index * SEGMENT_BYTES
            end = transfer.range(index)[1]
            while start < end:
                count = self._read(response, buffer[: end - start])
                if count == 0:
                    raise RetryError(
                        "the connection ended early; the server does not support ranges"
                    )
                written = max(0, transfer.range(index)[0] - start)
                if index in ours and written < count:
                    self._write(transfer, index, buffer[written:count])
                start += count

    def _read(self, response: Response, buffer: memoryview) -> int:
        if self.crew.ending.is_set():
            raise RetryError("the run ends")
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
                raise RetryError(reason_of(error)) from error
        return count

    def _write(self, transfer: Transfer, index: int, chunk: memoryview) -> None:
        if not chunk:
            return
        if self.crew.ending.is_set():
            raise RetryError("the run ends")
        self.lease.check()
        transfer.write(index, chunk)
        self.patience.renew()
        self.flusher.add(transfer, len(chunk))
