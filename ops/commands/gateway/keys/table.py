"""The table of the keys: who has how many, since when; never a key."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from ops.endpoint.consumer_keys import BrokenEntryError, Entries, problems, valid_keys
from ops.report.document import Row, Styled, Table, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The keys of a consumer, declared or not."""

    consumer: str
    declared: bool
    since: tuple[date, ...]
    """Of each valid key, the oldest first."""
    problem: str
    """Why it cannot ask, or what is wrong with it; empty: nothing is."""


def lines(declared: Iterable[str], entries: Entries) -> tuple[Line, ...]:
    """List the declared consumers, then the entries that nobody declares.

    Args:
        declared: Names of the consumers.
        entries: What the store has.
    """
    names = tuple(declared)
    refused = problems(names, entries)
    undeclared = sorted(entries.keys() - set(names))
    return tuple(
        Line(
            consumer=name,
            declared=name in names,
            since=_since(entries.get(name, "")),
            problem=(
                "not declared: the gateway ignores its keys"
                if name not in names
                else f"cannot ask: {refused[name]}"
                if name in refused
                else ""
            ),
        )
        for name in (*names, *undeclared)
    )


def _since(entry: str) -> tuple[date, ...]:
    with suppress(BrokenEntryError):
        return tuple(key.since for key in valid_keys(entry))
    return ()


def table(found: Iterable[Line]) -> Table:
    """Write the lines as a table."""
    return Table(
        header=("consumer", "keys", "since", ""),
        rows=tuple(
            Row(
                (
                    (Value(line.consumer),),
                    (str(len(line.since)),),
                    (", ".join(day.isoformat() for day in line.since),),
                    (Styled(line.problem, "yellow"),),
                )
            )
            for line in found
        ),
        numbers=frozenset({1}),
        whole=frozenset({0, 1, 2}),
    )


def as_json(found: Iterable[Line], *, place: str, by_hand: bool) -> dict[str, Any]:
    """Write the lines as JSON.

    Args:
        found: The lines.
        place: Where the keys are.
        by_hand: Whether somebody changed them without this command.
    """
    return {
        "place": place,
        "changed_by_hand": by_hand,
        "consumers": [
            {
                "name": line.consumer,
                "declared": line.declared,
                "valid_keys": len(line.since),
                "since": [day.isoformat() for day in line.since],
                "problem": line.problem,
            }
            for line in found
        ],
    }
