"""Write drift on a terminal, in Markdown and as JSON."""

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
"""The row of the differences that are not of a model."""
_STYLES = {"ok": "green", "differs": "red", "not asked": "dim", "unreachable": "yellow"}
_MOST_ROWS = 50
_LONGEST_LINE = 2000
_MOST_TOLD = 50_000
"""Characters of differences; GitHub accepts 65,536 in a comment."""


def rows(drift: Drift) -> dict[str, dict[Source, Cell]]:
    """The state of each model in each source: declared models, everything else, other models."""
    differing: dict[str, set[Source]] = {name: set() for name in (*drift.models, OTHERS)}
    for difference in drift.differences:
        for name in _rows_of(difference, drift):
            differing.setdefault(name, set()).update(source for source, _ in difference.found)
    return {
        name: {
            state.source: _cell(state.state, differs=state.source in sources)
            for state in drift.sources
        }
        for name, sources in differing.items()
    }


def _cell(state: State, *, differs: bool) -> Cell:
    if state != "asked":
        return state
    return "differs" if differs else "ok"


def _rows_of(difference: Difference, drift: Drift) -> tuple[str, ...]:
    if difference.subject == ALL_MODELS:
        return drift.models
    if difference.subject.startswith(_MODEL):
        return (difference.subject.removeprefix(_MODEL),)
    return (OTHERS,)


def verdict(drift: Drift) -> str:
    """Write the result in a sentence."""
    number = len(drift.differences)
    asked = [state.source for state in drift.sources if state.state == "asked"]
    what = count(number, "difference") if number else "no drift"
    missing = [state.source for state in drift.unreachable]
    sentence = f"{what} in {', '.join(asked)}" if asked else "nothing could be compared"
    return sentence + (f"; not reached: {', '.join(missing)}" if missing else "")


def _table(drift: Drift) -> document.Table:
    def row(name: str, cells: dict[Source, Cell]) -> document.Row:
        declared = "yes" if name in drift.models else "" if name == OTHERS else "no"
        states = ((document.Styled(cell, _STYLES[cell]),) for cell in cells.values())
        subject = name if name == OTHERS else document.Value(name)
        return document.Row(((subject,), (declared,), *states))

    return document.Table(
        header=("", "declared", *(state.source for state in drift.sources)),
        rows=tuple(row(name, cells) for name, cells in rows(drift).items()),
    )


def show(console: Console, drift: Drift) -> None:
    """Print the sources side by side, then a line for each difference."""
    show_table(console, _table(drift))
    for state in drift.sources:
        if state.reason:
            style = _STYLES[state.state]
            line = f"{state.source}: {state.state}: {one_line(state.reason, limit=_LONGEST_LINE)}"
            console.print(Text(line, style=style), soft_wrap=True)
    for note in drift.notes:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)
    for difference in drift.differences:
        console.print(Text(difference.line), soft_wrap=True)
    console.print(Text(verdict(drift), style="bold"), soft_wrap=True)


def as_json(drift: Drift) -> dict[str, Any]:
    """Write drift as JSON."""
    return {
        "drift": bool(drift.differences),
        "sources": [
            {"source": state.source, "state": state.state, "reason": state.reason}
            for state in drift.sources
        ],
        "rows": [
            {"name": name, "declared": name in drift.models, **cells}
            for name, cells in rows(drift).items()
        ],
        "differences": [
            {
                "subject": difference.subject,
                "field": difference.field,
                "found": [
                    {"source": source, **_value(value)} for source, value in difference.found
                ],
                "declared": _value(difference.declared),
                "newer": difference.newer,
                "remedy": difference.remedy,
                "line": difference.line,
            }
            for difference in drift.differences
        ],
        "notes": list(drift.notes),
    }


def _value(value: Value) -> dict[str, str | None]:
    time = None
    if value.time_s is not None:
        time = datetime.datetime.fromtimestamp(value.time_s, datetime.UTC).isoformat()
    return {"value": value.text, "where": value.where, "who": value.who, "time": time}


def as_markdown(drift: Drift) -> str:
    """Write drift for a job's summary; every untrusted value is escaped."""
    lines = [f"### Drift: {verdict(drift)}", ""]
    table = _table(drift)
    lines += [*table_lines(replace(table, rows=table.rows[:_MOST_ROWS])), ""]
    told = 0
    for index, difference in enumerate(drift.differences):
        line = f"- {difference.told(_quoted)}"
        told += len(line)
        if told > _MOST_TOLD:
            lines.append(f"- and {len(drift.differences) - index} more; --json has all")
            break
        lines.append(line)
    lines += [
        f"- {state.source}: {state.state}: {_quoted(state.reason)}"
        for state in drift.sources
        if state.reason
    ]
    lines += [f"- note: {_quoted(note)}" for note in drift.notes]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return inline(text, _LONGEST_LINE)
