"""Why a load failed, by what the front end and llama-server logged."""

from __future__ import annotations

import re

from .contract import ABORTED

_ABORTED = re.compile(r"\baborted\b|shutting down|context canceled|shutdown|unloaded")
_TIMEOUT = re.compile(r"health check timed out")
_NO_PROGRAM = re.compile(r"no such file|permission denied|not found", re.IGNORECASE)
_MEMORY = re.compile(
    r"out of memory|insufficient memory|(?:unable|failed) to allocate|cudaMalloc failed"
    r"|OutOfDeviceMemory|std::bad_alloc|not enough (?:memory|space)",
    re.IGNORECASE,
)
# A load that runs out of memory also says `error loading model`, so this is asked second.
_FILE = re.compile(
    r"failed to open|no such file|gguf_init_from|failed to read|invalid magic|corrupted"
    r"|unknown model architecture|error loading model|failed to load (?:model|mmproj|clip)",
    re.IGNORECASE,
)


def failure_class(reason: str, log: str) -> str:
    """Return the class of a failed load, or `ABORTED` for one that somebody ended.

    Args:
        reason: What the front end says; empty if nothing.
        log: What llama-server wrote meanwhile; empty if unknown.

    Returns:
        One of `contract.FAILURES`, or `ABORTED`.
    """
    if _ABORTED.search(reason):
        return ABORTED
    if _TIMEOUT.search(reason):
        return "timeout"
    if "failed to start command" in reason:
        return "file" if _NO_PROGRAM.search(reason) else "crash"
    if not reason and not log:
        return "unknown"
    if _MEMORY.search(log):
        return "memory"
    if _FILE.search(log):
        return "file"
    return "crash"
