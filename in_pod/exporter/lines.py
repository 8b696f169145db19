"""Split a stream of bytes into lines of limited length."""

from __future__ import annotations

from collections.abc import Iterator


class Lines:
    """Yields the lines of a stream; skips those that are longer than a limit, and counts them."""

    def __init__(self, limit_bytes: int) -> None:
        """Begin with an empty stream."""
        self._limit_bytes = limit_bytes
        self._rest = bytearray()
        self._skips = False
        self.skipped = 0
        """Lines that were too long."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Add bytes, and yield the lines that they complete, without their ends."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            if self._skips:
                self._skips = False
            elif len(self._rest) + len(line) > self._limit_bytes:
                self.skipped += 1
            else:
                yield bytes(self._rest + line)
            self._rest.clear()
        if self._skips:
            return
        if len(self._rest) + len(rest) > self._limit_bytes:
            self._rest.clear()
            self._skips = True
            self.skipped += 1
        else:
            self._rest += rest
