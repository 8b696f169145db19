"""Where this repository is on this machine."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TOOLS = ROOT / "tools"
"""The pinned module files of what is built."""
