"""Explain the refusal of a name that an engine does not know: which other build knows it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping

from ops.machine.llama_build import ENGINES
from ops.machine.llama_names import read_names

_ARCHITECTURE = re.compile(r"unknown model architecture: '([^']+)'")
_PROJECTOR = re.compile(r"unknown projector type: (\S+)")
_CLOSE = 0.7
"""Likeness of two names, up to 1: `gemma5` and `gemma3` have 0.83, `gpt2` and `gptj` 0.75."""


def explained(refusal: str) -> str:
    """Return an engine's words; after an unknown name, with the builds that know it."""
    lists = read_names(ENGINES)
    if match := _ARCHITECTURE.search(refusal):
        builds = {build: names.architectures for build, names in lists.items()}
    elif match := _PROJECTOR.search(refusal):
        builds = {build: names.projectors for build, names in lists.items()}
    else:
        return refusal
    return f"{refusal}. {_explanation(match[1], builds)}" if builds else refusal


def _explanation(name: str, builds: Mapping[int, Collection[str]]) -> str:
    if knowing := [f"b{build}" for build, names in builds.items() if name in names]:
        return f"Known to {', '.join(knowing)}: move engine_build and its image there"
    names = {name for names in builds.values() for name in names}
    close = difflib.get_close_matches(name, sorted(names), n=3, cutoff=_CLOSE)
    unknowing = ", ".join(f"b{build}" for build in builds)
    return f"Unknown to {unknowing}" + (f"; close names: {', '.join(close)}" if close else "")
