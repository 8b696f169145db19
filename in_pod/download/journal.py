"""How far a partial file is, for the run after a kill."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from .contract import JOURNAL, PARTIAL
from .plan import File

MIB = 1 << 20
SEGMENT_BYTES = 16 * MIB
"""Large enough that a request's round trip is lost in it, small enough that the sha256, which
follows the file from its start, is never far behind the connections."""


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
            there = path.with_suffix(PARTIAL).stat().st_size == file.size_bytes
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
        return sum(written for written, _ in cls._read(blobs / f"{file.sha256}{JOURNAL}", file))

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
