"""What others name of the download program: exit codes, its plan, and files on the volume."""

from __future__ import annotations

BUSY, NO_SPACE, BAD_DATA, TRANSIENT, NO_ACCESS, NOT_AS_PLANNED = 16, 28, 65, 75, 77, 78
NO_RETRY_HELPS = (NO_SPACE, BAD_DATA, NO_ACCESS, NOT_AS_PLANNED)

PLAN_FILE = "download-plan.json"

BLOBS = "blobs"
"""The folder of complete, checked files, each named by its sha256."""
PARTIAL, JOURNAL, WRONG = ".partial", ".journal", ".wrong"
"""What a blob's name ends with while it is on its way, and when it is set aside."""
SETS = "sets"
"""The folder of links to blobs that belong together."""
LINK_NAMES = {"model": "model.gguf", "mmproj": "mmproj.gguf"}
"""Role of a file -> the name under which llama-server finds it in the model's folder."""
LEASE_FILE = ".lease"
"""Changes every few seconds while a download works on the volume."""
