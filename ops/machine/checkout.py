"""Paths of this checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TOOLS = ROOT / "tools"
"""Pinned versions of the programs that are built."""
