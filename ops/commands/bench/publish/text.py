"""The terminal output of `publish` and `undo`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.commands.bench.publish.picks import show
from ops.commands.bench.publish.planning import Plan
from ops.commands.bench.publish.record import Entry
from ops.errors import one_line


def show_plan(console: Console, planned: Plan) -> None:
    """Show each photo before and after."""
    record = planned.record
    destination = {
        "rating": "ratings",
        "tag": f"tag {record.label}",
        "album": f"album {record.label}",
    }[record.target]
    headline = f"the best photos by {record.model}, as {one_line(destination)}"
    console.print(Text(headline), soft_wrap=True)
    table = Table()
    table.add_column("Photo", overflow="fold")
    table.add_column("Score", justify="right")
    table.add_column("Before")
    table.add_column("After")
    for entry in planned.written:
        now = _change(planned, entry)[1]
        table.add_row(_name(entry.name), f"{entry.score:.2f}", now, "already written")
    for entry in planned.changes:
        table.add_row(_name(entry.name), f"{entry.score:.2f}", *_change(planned, entry))
    for photo in planned.untouched:
        table.add_row(
            _name(photo.pick.name), f"{photo.pick.score:.2f}", Text(photo.reason), "unchanged"
        )
    console.print(table)


def outlook(planned: Plan) -> str:
    """Describe a publication that is not applied."""
    if planned.resumed:
        return (
            f"publication {planned.record.number} was interrupted: {len(planned.written)} "
            f"written, {len(planned.changes)} to write, {len(planned.untouched)} unchanged; "
            "--apply finishes it, `undo` restores it"
        )
    return "nothing is changed yet; --apply changes it" if planned.changes else "nothing to change"


def outcome(planned: Plan, results: Iterable[tuple[Entry, str]]) -> str:
    """Describe an applied publication."""
    if not planned.record.entries:
        return f"publication {planned.record.number} has nothing left; your ratings stay"
    more = " more" if planned.resumed else ""
    changed = sum(not why for _, why in results)
    return f"changed {changed}{more} photos; `undo` restores them"


def show_refused(console: Console, results: Iterable[tuple[Entry, str]]) -> None:
    """Show the photos that could not be changed."""
    for entry, why in results:
        if why:
            console.print(Text(f"! {one_line(entry.name)}: {why}"), soft_wrap=True)


def show_undone(console: Console, results: Iterable[tuple[str, str]]) -> None:
    """Show each restored photo, tag or album."""
    for name, what in results:
        console.print(Text(f"  {one_line(name)}: {what}"), soft_wrap=True)


def _name(name: str) -> Text:
    return Text(one_line(name))


def _change(planned: Plan, entry: Entry) -> tuple[str, str]:
    if planned.record.target == "rating":
        return show(entry.before), show(entry.after)
    return (
        ("not tagged", "tagged")
        if planned.record.target == "tag"
        else ("not in the album", "in the album")
    )
