"""Wait for the files that the plan names, while somebody downloads them."""

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
"""No download for so long means that none runs any more: its image is pulled in less."""


def published(models: Path, model: Model, file: File) -> Path | None:
    """Find a file's bytes, if the model's link leads to exactly those."""
    path = (models / model.id / file.name).resolve()
    with suppress(OSError):
        if path.name == file.sha256 and path.stat().st_size == file.size_bytes:
            return path
    return None


def missing(models: Path, plan: tuple[Model, ...]) -> Iterator[str]:
    """Say of each file that is not there how far it is."""
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
                state = "there, not linked yet"
            yield f"{model.id}/{file.name} ({state})"


def wait_for(models: Path, plan: tuple[Model, ...], wait_s: float, say: Say) -> float:
    """Wait until all files are published, at most so long, and while somebody downloads.

    Returns:
        Seconds waited.
    """
    started = changed = time.monotonic()
    said = -SAY_S
    seen: tuple[object, ...] = ()
    while lacking := list(missing(models, plan)):
        waited_s = time.monotonic() - started
        if (signs := (lacking, heartbeat(models))) != seen:
            seen, changed = signs, time.monotonic()
        if time.monotonic() - changed >= STALL_S:
            say(f"nobody downloads any more; without {', '.join(lacking)}")
            break
        if waited_s >= wait_s:
            say(f"not waiting any longer than {wait_s:.0f} s for {', '.join(lacking)}")
            break
        if waited_s - said >= SAY_S:
            said = waited_s
            say(f"waiting for {', '.join(lacking)}; at most {wait_s - waited_s:.0f} s more")
        time.sleep(min(POLL_S, max(0.05, wait_s - waited_s)))
    return time.monotonic() - started


def heartbeat(models: Path) -> bytes:
    """Read what a download that works on the volume changes every few seconds."""
    with suppress(OSError):
        return (models / LEASE_FILE).read_bytes()
    return b""
