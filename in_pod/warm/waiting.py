"""Wait for the files of the plan while a download is running."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .contract import BLOBS, LEASE_FILE, PARTIAL
from .plan import File, Model
from .text import Say, size_text

POLL_S = 2.0
SAY_S = 15.0
STALL_S = 600.0
"""Seconds without a sign of a download after which none is expected; pulling its image takes
less."""


def published(models: Path, model: Model, file: File) -> Path | None:
    """Return a file's path if the model's link leads to exactly this file."""
    with suppress(OSError, RuntimeError):  # Python before 3.13 raises RuntimeError for a loop.
        path = (models / model.id / file.name).resolve()
        if path.name == file.sha256 and path.stat().st_size == file.size_bytes:
            return path
    return None


def missing(models: Path, plan: tuple[Model, ...]) -> Iterator[str]:
    """Yield the files that are not published, with their state."""
    for model in plan:
        for file in model.files:
            if published(models, model, file) is not None:
                continue
            partial = models / BLOBS / f"{file.sha256}{PARTIAL}"
            state = "missing"
            with suppress(OSError):
                share = min(1.0, partial.stat().st_blocks * 512 / file.size_bytes)
                state = f"{100 * share:.0f} % of {size_text(file.size_bytes)}"
            if (models / BLOBS / file.sha256).exists():
                state = "complete, not published yet"
            yield f"{model.id}/{file.name} ({state})"


def wait_for(models: Path, plan: tuple[Model, ...], wait_s: float, say: Say) -> float:
    """Wait until all files are published, for at most `wait_s` and while a download is running.

    Returns:
        Seconds waited.
    """
    started = changed = time.monotonic()
    printed = -SAY_S
    seen: tuple[object, ...] = ()
    while unpublished := list(missing(models, plan)):
        waited_s = time.monotonic() - started
        if (signs := (unpublished, heartbeat(models))) != seen:
            seen, changed = signs, time.monotonic()
        if time.monotonic() - changed >= STALL_S:
            say(f"no download is running; continuing without {', '.join(unpublished)}")
            break
        if waited_s >= wait_s:
            say(f"waited {wait_s:.0f} s; continuing without {', '.join(unpublished)}")
            break
        if waited_s - printed >= SAY_S:
            printed = waited_s
            say(f"waiting for {', '.join(unpublished)}; at most {wait_s - waited_s:.0f} s more")
        time.sleep(min(POLL_S, max(0.05, wait_s - waited_s)))
    return time.monotonic() - started


def heartbeat(models: Path) -> bytes:
    """Read the lease, which a running download changes every few seconds."""
    lease = models / LEASE_FILE
    with suppress(OSError):
        return lease.read_bytes() if lease.is_file() else b""  # A pipe would block the pod.
    return b""
