"""Drift for a person, for a program, and for a nightly job's summary."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from ops.commands.drift.configuration import ALL_MODELS
from ops.commands.drift.difference import Difference, Source, Value
from ops.commands.drift.run import Drift, State
from ops.errors import one_line
from ops.report import document
from ops.report.markdown import table_lines
from ops.report.on_terminal import show_table
from ops.report.safe_text import inline
from ops.report.words import count

Cell = Literal["ok", "differs", "not asked", "unreachable"]

_MODEL = "model "
OTHERS = "everything else"
"""The row of what is of no model."""
_STYLES = {"ok": "green", "differs": "red", "not asked": "dim", "unreachable": "yellow"}
_MOST_ROWS = 50
_LONGEST_LINE = 2000
_MOST_TOLD = 50_000
"""Characters of differences: a comment of GitHub's takes 65,536 in all."""


def rows(found: Drift) -> dict[str, dict[Source, Cell]]:
    """What each source says of each model: the declared ones, all else, then others."""
    differing: dict[str, set[Source]] = {name: set() for name in (*found.models, OTHERS)}
    for difference in found.differences:
        for name in _rows_of(difference, found):
            differing.setdefault(name, set()).update(source for source, _ in difference.found)
    return {
        name: {
            each.source: _cell(each.state, differs=each.source in sources)
            for each in found.sources
        }
        for name, sources in differing.items()
    }


def _cell(state: State, *, differs: bool) -> Cell:
    if state != "asked":
        return state
    return "differs" if differs else "ok"


def _rows_of(difference: Difference, found: Drift) -> tuple[str, ...]:
    if difference.subject == ALL_MODELS:
        return found.models
    if difference.subject.startswith(_MODEL):
        return (difference.subject.removeprefix(_MODEL),)
    return (OTHERS,)


def verdict(found: Drift) -> str:
    """All of it in a sentence."""
    number = len(found.differences)
    asked = [each.source for each in found.sources if each.state == "asked"]
    what = count(number, "difference") if number else "no drift"
    missing = [each.source for each in found.unreachable]
    said = f"{what} in {', '.join(asked)}" if asked else "nothing could be compared"
    return said + (f"; not reached: {', '.join(missing)}" if missing else "")


def _table(found: Drift) -> document.Table:
    def row(name: str, cells: dict[Source, Cell]) -> document.Row:
        declared = "yes" if name in found.models else "" if name == OTHERS else "no"
        states = ((document.Styled(cell, _STYLES[cell]),) for cell in cells.values())
        subject = name if name == OTHERS else document.Value(name)
        return document.Row(((subject,), (declared,), *states))

    return document.Table(
        header=("", "declared", *(each.source for each in found.sources)),
        rows=tuple(row(name, cells) for name, cells in rows(found).items()),
    )


def show(console: Console, found: Drift) -> None:
    """Show it on a terminal: sources side by side, then a line for each difference."""
    show_table(console, _table(found))
    for state in found.sources:
        if state.reason:
            style = _STYLES[state.state]
            line = f"{state.source}: {state.state}: {one_line(state.reason, limit=_LONGEST_LINE)}"
            console.print(Text(line, style=style), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)
    for difference in found.differences:
        console.print(Text(difference.line), soft_wrap=True)
    console.print(Text(verdict(found), style="bold"), soft_wrap=True)


def as_json(found: Drift) -> dict[str, Any]:
    """Say it to a program."""
    return {
        "drift": bool(found.differences),
        "sources": [
            {"source": each.source, "state": each.state, "reason": each.reason}
            for each in found.sources
        ],
        "rows": [
            {"name": name, "declared": name in found.models, **cells}
            for name, cells in rows(found).items()
        ],
        "differences": [
            {
                "subject": each.subject,
                "field": each.field,
                "found": [{"source": source, **_value(value)} for source, value in each.found],
                "declared": _value(each.declared),
                "newer": each.newer,
                "remedy": each.remedy,
                "line": each.line,
            }
            for each in found.differences
        ],
        "notes": list(found.notes),
    }


def _value(value: Value) -> dict[str, str | None]:
    time = None
    if value.time_s is not None:
        time = datetime.datetime.fromtimestamp(value.time_s, datetime.UTC).isoformat()
    return {"value": value.text, "where": value.where, "who": value.who, "time": time}


def as_markdown(found: Drift) -> str:
    """Write it for a job's summary; no value can leave its place in it."""
    lines = [f"### Drift: {verdict(found)}", ""]
    table = _table(found)
    lines += [*table_lines(replace(table, rows=table.rows[:_MOST_ROWS])), ""]
    told = 0
    for index, each in enumerate(found.differences):
        line = f"- {each.told(_quoted)}"
        told += len(line)
        if told > _MOST_TOLD:
            lines.append(f"- and {len(found.differences) - index} more; --json has all")
            break
        lines.append(line)
    lines += [
        f"- {each.source}: {each.state}: {_quoted(each.reason)}"
        for each in found.sources
        if each.reason
    ]
    lines += [f"- note: {_quoted(note)}" for note in found.notes]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return inline(text, _LONGEST_LINE)
