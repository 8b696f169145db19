"""The download program's exit codes, its plan's file name, and names on the volume."""

from __future__ import annotations

BUSY, NO_SPACE, BAD_DATA, TRANSIENT, NO_ACCESS, NOT_AS_PLANNED = 16, 28, 65, 75, 77, 78
NO_RETRY_HELPS = (NO_SPACE, BAD_DATA, NO_ACCESS, NOT_AS_PLANNED)

PLAN_FILE = "download-plan.json"

BLOBS = "blobs"
"""Folder of complete, checked files, named by their sha256."""
PARTIAL, JOURNAL, WRONG = ".partial", ".journal", ".wrong"
"""Suffixes of a blob that is being downloaded, its journal, and a wrong blob set aside."""
SETS = "sets"
"""Folder of links to blobs that belong together."""
LINK_NAMES = {"model": "model.gguf", "mmproj": "mmproj.gguf"}
"""Role of a file -> its name in the model's folder."""
PART_NAME = "model-{part:05d}-of-{parts:05d}.gguf"
"""Name of one file of a split model: llama.cpp derives the others from that of the first."""
LEASE_FILE = ".lease"
"""Changes every few seconds while a run uses the volume."""
UNNEEDED = ".unneeded"
"""Folder of notes that record since when a file is unused."""


def is_repository_path(text: str) -> bool:
    """Whether a text is a path in a repository: relative, printable and without `..`."""
    is_relative = {"", ".", ".."}.isdisjoint(text.split("/"))
    return is_relative and text.isprintable() and len(text) <= 1024
