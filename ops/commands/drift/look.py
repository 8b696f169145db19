"""What a source showed."""

from __future__ import annotations

from dataclasses import dataclass

from ops.commands.drift.difference import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one source showed when it was asked."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """What is worth knowing and no drift."""


class NotAskedError(Exception):
    """There is nothing to ask, and that is as it may be; the text says why."""
