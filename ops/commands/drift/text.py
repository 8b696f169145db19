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


def rows(drift: Drift, pool: str = "") -> dict[str, dict[Source, Cell]]:
    """The state of each model in each source: declared models, everything else, other models.

    Args:
        drift: The result.
        pool: The pool; empty: there is one.
    """
    models = drift.pools.get(pool, drift.models)
    first = next(iter(drift.pools), "")
    differing: dict[str, set[Source]] = {name: set() for name in (*models, OTHERS)}
    for difference in drift.differences:
        if (difference.pool or first) != pool:
            continue
        for name in _rows_of(difference, models):
            differing.setdefault(name, set()).update(source for source, _ in difference.found)
    return {
        name: {
            state.source: _cell(state.state, differs=state.source in sources)
            for state in drift.sources
            if state.pool in ("", pool)
        }
        for name, sources in differing.items()
    }


def _cell(state: State, *, differs: bool) -> Cell:
    if state != "asked":
        return state
    return "differs" if differs else "ok"


def _rows_of(difference: Difference, models: tuple[str, ...]) -> tuple[str, ...]:
    if difference.subject == ALL_MODELS:
        return models
    if difference.subject.startswith(_MODEL):
        return (difference.subject.removeprefix(_MODEL),)
    return (OTHERS,)


def verdict(drift: Drift) -> str:
    """Write the result in a sentence."""
    number = len(drift.differences)
    asked = dict.fromkeys(state.source for state in drift.sources if state.state == "asked")
    what = count(number, "difference") if number else "no drift"
    missing = [state.label for state in drift.unreachable]
    sentence = f"{what} in {', '.join(asked)}" if asked else "nothing could be compared"
    return sentence + (f"; not reached: {', '.join(missing)}" if missing else "")


def _table(drift: Drift) -> document.Table:
    sources = tuple(dict.fromkeys(state.source for state in drift.sources))

    def row(pool: str, name: str, cells: dict[Source, Cell]) -> document.Row:
        models = drift.pools.get(pool, drift.models)
        declared = "yes" if name in models else "" if name == OTHERS else "no"
        states = ((document.Styled(cell, _STYLES[cell]),) for cell in cells.values())
        subject = name if name == OTHERS else document.Value(name)
        of_pool: tuple[document.Line, ...] = ((document.Value(pool),),) if pool else ()
        return document.Row((*of_pool, (subject,), (declared,), *states))

    return document.Table(
        header=(*(("pool",) if drift.pools else ()), "", "declared", *sources),
        rows=tuple(
            row(pool, name, cells)
            for pool in drift.pools or ("",)
            for name, cells in rows(drift, pool).items()
        ),
    )


def show(console: Console, drift: Drift) -> None:
    """Print the sources side by side, then a line for each difference."""
    show_table(console, _table(drift))
    for state in drift.sources:
        if state.reason:
            style = _STYLES[state.state]
            line = f"{state.label}: {state.state}: {one_line(state.reason, limit=_LONGEST_LINE)}"
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
            _of(state.pool)
            | {"source": state.source, "state": state.state, "reason": state.reason}
            for state in drift.sources
        ],
        "rows": [
            _of(pool)
            | {"name": name, "declared": name in drift.pools.get(pool, drift.models)}
            | cells
            for pool in drift.pools or ("",)
            for name, cells in rows(drift, pool).items()
        ],
        "differences": [
            _of(difference.pool)
            | {
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


def _of(pool: str) -> dict[str, Any]:
    """Name the pool; where there is one, or all are meant, nothing."""
    return {"pool": pool} if pool else {}


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
        f"- {state.label}: {state.state}: {_quoted(state.reason)}"
        for state in drift.sources
        if state.reason
    ]
    lines += [f"- note: {_quoted(note)}" for note in drift.notes]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return inline(text, _LONGEST_LINE)
