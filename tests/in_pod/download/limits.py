"""Small disks, failing disks and memory limits, where the machine supports them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1 << 20


@contextlib.contextmanager
def tmpfs(path: Path, size_bytes: int) -> Iterator[Path]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def disk_that_loses_bytes(folder: Path) -> Iterator[Path]:
    """Mount an ext4 of 400 MiB on a tmpfs of 40 MiB, which accepts bytes that it cannot store.

    Yields:
        Its mount point; the tmpfs is `folder/below`.
    """
    with (
        tmpfs(folder / "below", 40 * MIB) as below,
        ext4(below / "image", folder / "disk", 400 * MIB) as at,
    ):
        yield at


@contextlib.contextmanager
def ext4(image: Path, at: Path, size_bytes: int) -> Iterator[Path]:
    """Mount an ext4 of its own size, all of it free for everybody."""
    at.mkdir()
    try:
        for words in (
            ["truncate", "-s", str(size_bytes), str(image)],
            ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)],
            ["mount", "-o", "loop", str(image), str(at)],
        ):
            subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop device or no mkfs.ext4 here: {error}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    name = f"download-test-{os.getpid()}"
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    folder, limit = (
        (v1 / name, "memory.limit_in_bytes")
        if v1.is_dir()
        else (
            v2 / name,
            "memory.max",
        )
    )
    try:
        folder.mkdir()
        (folder / limit).write_text(str(limit_bytes))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"a memory cgroup cannot be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()
