"""The sources of the programs that run in the cluster."""

from __future__ import annotations

from pathlib import Path

IN_POD = Path(__file__).parent.parent / "in_pod"


def modules(package: str) -> dict[str, str]:
    """Read the sources of a package of in_pod/: file name -> text."""
    paths = sorted((IN_POD / package).glob("*.py"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}
