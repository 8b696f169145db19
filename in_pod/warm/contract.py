"""What others name of the warm-up: its plan, and how much memory it fills."""

from __future__ import annotations

PLAN_FILE = "warm-plan.json"

BLOBS, PARTIAL, LEASE_FILE = "blobs", ".partial", ".lease"
"""The download program's words for what it leaves on the volume; it is not mounted here."""

SHARE = 0.9
"""Of the memory that is there: above it the kernel drops what was read first."""
OWN_MIB = 256
"""Python, a buffer of 4 MiB for each of eight threads, and their pages on the way."""
