"""What `python main.py` writes, as a file that shows a reviewer what a pull request changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""This tree itself. All other tests see a copy of it, which has a link to this folder."""
SNAPSHOT = Path(__file__).with_name("cdk.tf.json")


def snapshot(document: dict[str, Any]) -> str:
    """Write cdk.tf.json with a text's lines below each other.

    A program of in_pod/ is shown by its path: its own diff stands beside it in the pull request.
    """
    programs = {path.read_text(): path for path in (ROOT / "in_pod").glob("*/*.py")}

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shown(member) for key, member in value.items()}
        if isinstance(value, list):
            return [shown(member) for member in value]
        if not isinstance(value, str) or "\n" not in value:
            return value
        program = programs.get(value)
        return value.splitlines() if program is None else f"{program.relative_to(ROOT)}"

    return json.dumps(shown(document), indent=2, sort_keys=True) + "\n"
