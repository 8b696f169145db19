"""Read renovate.json as Renovate does, and its custom managers' regular expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.conftest import ROOT

CONFIG: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text())
IMAGES, BUILD, WEIGHTS = CONFIG["customManagers"]
LOCK = "llama_swap_config/models.lock.json"
SETTINGS = "stacks/production.py"


def python_regex(expression: str) -> re.Pattern[str]:
    """Read a regular expression of JavaScript."""
    return re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", expression))


def in_slashes(pattern: str) -> re.Pattern[str]:
    """Read a file pattern of Renovate, which is a regular expression between slashes."""
    assert (pattern[0], pattern[-1]) == ("/", "/")
    return python_regex(pattern[1:-1])


def matches(
    manager: dict[str, Any], name: str, text: str
) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yield start and end of each text that a custom manager replaces, and its groups."""
    if not any(in_slashes(pattern).search(name) for pattern in manager["managerFilePatterns"]):
        return
    first, *then = map(python_regex, manager["matchStrings"])
    for match in first.finditer(text):
        if not then:
            yield (*match.span(), match.groupdict())
        for inner in (found for regex in then for found in regex.finditer(match.group())):
            start, end = inner.span()
            groups = match.groupdict() | inner.groupdict()
            yield match.start() + start, match.start() + end, groups
