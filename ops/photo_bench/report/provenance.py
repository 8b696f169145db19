"""What a run was made of, without its secrets, and the command that repeats it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ops.photo_bench.results import Run

_HIDDEN = "(left out)"
_WORDS = r"(?:key|password|passwd|secret|token|authorization|credentials?)"
_NAME = re.compile(rf"(?:^|[._-]|api|access){_WORDS}$", re.IGNORECASE)
_VALUE = r"(?!\(left out)(?:\"[^\"]{0,500}\"|'[^']{0,500}'|[^\s&\"',;]+)"
_SECRETS = (
    # --api-key VALUE and --api-key=VALUE
    re.compile(rf"(--(?:[\w-]{{1,40}}-)?(?:api)?{_WORDS}(?:=|\s+)){_VALUE}", re.IGNORECASE),
    # IMMICH_API_KEY=VALUE and ?key=VALUE
    re.compile(rf"((?:\b|[\w-]{{0,40}}[_-]|[?&]){_WORDS}=){_VALUE}", re.IGNORECASE),
    # x-api-key: VALUE and Authorization: Bearer VALUE, in a header or in JSON
    re.compile(
        rf"((?:api[_-]?key|authorization|password)[\"']?\s*:\s*)(?:(?:bearer|basic)\s+)?{_VALUE}",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{12,}", re.IGNORECASE),
    # http://user:password@host
    re.compile(r"(\w://)[^/\s@]{1,200}(?=@)"),
    re.compile(r"(\b(?:sk|hf|ghp|glpat)[-_])[\w-]{8,}"),
)
_LONGEST = 4000


def redacted(value: Any, name: str = "") -> Any:
    """Leave out what opens a door: values by their name, and parts of text by their look.

    Args:
        value: Plain data.
        name: What it is the value of.
    """
    if isinstance(value, Mapping):
        return {str(each): redacted(one, str(each)) for each, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each, name) for each in _hide_arguments(value)]
    if isinstance(value, str):
        if value and _NAME.search(name):
            return _HIDDEN
        for pattern in _SECRETS:
            value = pattern.sub(rf"\1{_HIDDEN}", value)
    return value


def _hide_arguments(words: Sequence[Any]) -> Iterator[Any]:
    """Hide the word after `--api-key` in a list of words."""
    before = ""
    for each in words:
        is_secret = before.startswith("-") and _NAME.search(before.lstrip("-"))
        yield _HIDDEN if is_secret and isinstance(each, str) else each
        before = each if isinstance(each, str) else ""


def facts(run: Run) -> Sequence[tuple[str, str]]:
    """Give the provenance as names and values, nested names joined by dots."""
    rest = {name: each for name, each in run.provenance.items() if name != "command"}
    return [(name, _text(value)) for name, value in _flat(redacted(rest))]


def command(run: Run) -> str:
    """Give the command that repeats the run; empty where the run does not say."""
    value = run.provenance.get("command")
    if isinstance(value, list | tuple):
        return shlex.join(str(each) for each in redacted(value)).replace(f"'{_HIDDEN}'", _HIDDEN)
    return str(redacted(value)) if isinstance(value, str) else ""


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for each, one in value.items():
            yield from _flat(one, f"{name}.{each}" if name else each)
    else:
        yield name, value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
