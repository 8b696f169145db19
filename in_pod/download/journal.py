"""The progress of a partial file, for the run after a kill."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from .contract import JOURNAL, PARTIAL
from .errors import DownloadError
from .opening import open_file, read_file
from .plan import File

MIB = 1 << 20
SEGMENT_BYTES = 16 * MIB
"""Large enough to make a request's round trip negligible, small enough to keep the sha256, which
follows the file from its start, close behind the connections."""


def boot_id() -> str:
    """Return the id of the running kernel, which keeps written data until it goes down."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class Journal:
    """Counters of the written bytes of each segment, on the volume.

    A counter is written after its bytes, so a killed process cannot leave a counter without them.
    A crashed kernel can: after another boot only synced bytes count.
    """

    _HEADER = struct.Struct("<8s32sQQ36s")
    _COUNTERS = struct.Struct("<QQ")
    _MAGIC = b"segments"

    def __init__(self, path: Path, file: File) -> None:
        """Resume from an earlier run's counters, or start at zero."""
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
        self._fd = open_file(path, os.O_RDWR | os.O_CREAT)
        content = b"".join(self._COUNTERS.pack(*pair) for pair in pairs)
        os.pwrite(self._fd, self._header + content, 0)

    @classmethod
    def _read(cls, path: Path, file: File) -> list[tuple[int, int]]:
        """Read the valid counters, written and synced; empty if there are none."""
        count = -(-file.size_bytes // SEGMENT_BYTES)
        try:
            content = read_file(path)
            has_partial = path.with_suffix(PARTIAL).lstat().st_size == file.size_bytes
            magic, sha256, size, segment, boot = cls._HEADER.unpack_from(content)
            pairs = list(cls._COUNTERS.iter_unpack(content[cls._HEADER.size :]))
        except (DownloadError, OSError, struct.error):
            return []
        expected = (cls._MAGIC, bytes.fromhex(file.sha256), file.size_bytes, SEGMENT_BYTES)
        if (magic, sha256, size, segment) != expected or len(pairs) != count or not has_partial:
            return []
        written = 0 if boot == boot_id().encode() else 1
        return [(min(pair[written], SEGMENT_BYTES), min(pair[1], SEGMENT_BYTES)) for pair in pairs]

    @classmethod
    def bytes_of(cls, blobs: Path, file: File) -> int:
        """Return the number of valid bytes of a partial file."""
        return sum(written for written, _ in cls._read(blobs / f"{file.sha256}{JOURNAL}", file))

    def write(self, index: int) -> None:
        """Write the counters of a segment."""
        at = self._HEADER.size + index * self._COUNTERS.size
        os.pwrite(self._fd, self._COUNTERS.pack(self.written[index], self.synced[index]), at)

    def start_over(self) -> None:
        """Reset all counters."""
        self.synced = [0] * len(self.synced)
        self.roll_back()

    def roll_back(self) -> None:
        """Reset the counters to the synced bytes."""
        for index, count in enumerate(self.synced):
            self.written[index] = count
            self.write(index)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
