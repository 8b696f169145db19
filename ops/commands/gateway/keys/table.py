"""The table of the keys: who has how many, since when; never a key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from in_pod.gateway.contract import MOST_KEYS
from ops.endpoint.consumer_keys import BrokenEntryError, Entries, valid_keys
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
    return (
        *(_line(name, entries.get(name, ""), declared=True) for name in names),
        *(
            _line(name, entry, declared=False)
            for name, entry in sorted(entries.items())
            if name not in names
        ),
    )


def _line(consumer: str, entry: str, *, declared: bool) -> Line:
    since: tuple[date, ...] = ()
    problem = ""
    try:
        since = tuple(key.since for key in valid_keys(entry))
        if not since:
            problem = "it has no key"
        elif len(since) > MOST_KEYS:
            problem = f"it has more than {MOST_KEYS} keys"
    except BrokenEntryError as error:
        problem = str(error)
    if not declared:
        problem = "not declared: the gateway ignores its keys"
    elif problem:
        problem = f"cannot ask: {problem}"
    return Line(consumer=consumer, declared=declared, since=since, problem=problem)


def table(found: Iterable[Line]) -> Table:
    """Write the lines as a table."""
    return Table(
        header=("consumer", "valid keys", "since", ""),
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
