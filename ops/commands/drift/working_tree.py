"""What git knows of the working tree: who declared a file and when; nothing is fetched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import lru_cache

from ops.machine.checkout import ROOT
from ops.report.words import count

REGISTRY_FILE = "llama_swap_config/registry.py"
LOCK_FILE = "llama_swap_config/models.lock.json"
SETTINGS_FILE = "stacks/production.py"
STACK_FILES: tuple[str, ...] = ("main.py", "stacks", "constructs", "llama_swap_config", "in_pod")
"""The files that declare the objects."""


@lru_cache
def commit_of(*paths: str) -> tuple[str, float | None]:
    """Find the last commit of some files.

    Args:
        paths: From the repository's root.

    Returns:
        `commit 930f1e8` and its time in seconds since 1970; `not committed` and None if one of
        them is edited; an empty text and None if git does not know.
    """
    edited = _git("status", "--porcelain", "--", *paths)
    if edited:
        return "not committed", None
    log = _git("log", "-1", "--format=%h %ct", "--", *paths)
    commit, _, time_s = (log or "").partition(" ")
    return (f"commit {commit}", float(time_s)) if time_s else ("", None)


def notes() -> Iterator[str]:
    """List what looks like drift: uncommitted files, and an upstream that is ahead."""
    edited = _git("status", "--porcelain", "--untracked-files=no")
    if edited:
        files = count(len(edited.splitlines()), "uncommitted file")
        yield f"the working tree has {files}"
    behind = _git("rev-list", "--count", "HEAD..@{upstream}")
    if behind and behind != "0":
        upstream = _git("rev-parse", "--abbrev-ref", "@{upstream}")
        yield (
            f"the working tree is {count(int(behind), 'commit')} behind {upstream}; what was "
            "deployed from there looks like drift here. Run `git pull` first"
        )


def _git(*words: str) -> str | None:
    """Return git's output; None if it fails."""
    try:
        result = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
