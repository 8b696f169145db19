"""The provenance of a run, redacted, and the command that repeats it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ops.commands.bench.results import Run
from ops.report.redaction import redact, redact_all

_LONGEST = 4000


def facts(run: Run) -> Sequence[tuple[str, str]]:
    """Return the provenance as names and values, with nested names joined by dots."""
    rest = {name: value for name, value in run.provenance.items() if name != "command"}
    return [(name, _text(value)) for name, value in _flat(redact_all(rest))]


def command(run: Run) -> str:
    """Return the command that repeats the run; empty if it is not recorded."""
    return redact(run.provenance.get("command", ""))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from _flat(member, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
