"""Findings of drift, made up."""

from __future__ import annotations

from ops.commands.drift.difference import Finding, Value


def finding(subject: str, field: str, found: Value, wanted: Value) -> Finding:
    return Finding(subject=subject, field=field, found=found, declared=wanted, remedy="do it")


def at(text_: str, where: str, time_s: float | None = None, who: str = "") -> Value:
    return Value(text=text_, where=where, time_s=time_s, who=who)
