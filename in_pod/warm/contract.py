"""The warm program's plan and memory."""

from __future__ import annotations

PLAN_FILE = "warm-plan.json"

BLOBS, PARTIAL, LEASE_FILE = "blobs", ".partial", ".lease"
"""The download program's names on the volume; that program is not mounted here."""

SHARE = 0.9
"""Share of the memory to fill; above it the kernel drops the pages that were read first."""
OWN_MIB = 256
"""Memory of Python, eight buffers of 4 MiB, and their pages in flight."""
