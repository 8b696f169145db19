"""A file system that mirrors a folder with 1 ms per read: the latency of NFS.

python -m benchmarks.download.slow_fuse FOLDER MOUNT_POINT
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.machine.checkout import ROOT

READ_S = 0.001


def lacking() -> str:
    """Return why FUSE cannot be used; empty: it can."""
    if os.geteuid() != 0:
        return "only root may mount it"
    if not Path("/dev/fuse").exists():
        return "/dev/fuse does not exist"
    try:
        import mfusepy  # noqa: F401
    except ImportError:
        return "mfusepy is not installed in .venv"
    except OSError:
        return "libfuse is not installed (apt install libfuse2)"
    return ""


@contextlib.contextmanager
def mounted(folder: Path, at: Path) -> Iterator[Path]:
    """Mount a folder while the context lasts."""
    at.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.download.slow_fuse", str(folder), str(at)], cwd=ROOT
    )
    try:
        for _ in range(200):
            if at.is_mount():
                break
            time.sleep(0.05)
        else:
            raise TimeoutError(f"{at} was not mounted in time")
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
        process.wait(timeout=20)


def main() -> None:
    """Serve until the mount point is unmounted."""
    import mfusepy

    folder = Path(sys.argv[1])

    class SlowReads(mfusepy.Operations):  # type: ignore[misc] # It has no types that mypy knows.
        """Passes every call on, and reads slowly."""

        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            status = os.lstat(folder / path[1:])
            names = ("mode", "nlink", "uid", "gid", "size")
            return {f"st_{name}": getattr(status, f"st_{name}") for name in names}

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *(entry.name for entry in (folder / path[1:]).iterdir())]

        def readlink(self, path: str) -> str:
            return str((folder / path[1:]).readlink())

        def open(self, path: str, flags: int) -> int:
            return os.open(folder / path[1:], os.O_RDONLY)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            time.sleep(READ_S)
            return os.pread(fh, size, offset)

        def release(self, path: str, fh: int) -> None:
            os.close(fh)

    # As with an NFS client, pages stay cached while the file is closed.
    mfusepy.FUSE(SlowReads(), sys.argv[2], foreground=True, kernel_cache=True, allow_other=True)


if __name__ == "__main__":
    main()
