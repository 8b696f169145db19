"""Show the changes between two locks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llama_swap_config.lock.locked import Lock, LockedFile, Role

Row = tuple[str, str, str]
_DIGITS = 16
"""Shown digits of a commit or a sha256, so that two fit on one line."""


def show_changes(console: Console, before: Lock, after: Lock) -> None:
    """Print the changes of each model.

    Args:
        console: The console.
        before: The old lock.
        after: The new lock.
    """
    for model_id in sorted({*before, *after}):
        rows = list(_rows(before.get(model_id, ()), after.get(model_id, ())))
        if not rows:
            continue
        was, now = model_id in before, model_id in after
        change = "changed" if was and now else "new" if now else "removed"
        console.print(Text(f"\n{model_id} ({change})", style="bold"))
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in ("field", "before", "", "after"):
            table.add_column(overflow="fold")
        for name, old, new in rows:
            table.add_row(
                f"  {name}", Text(old, style="red"), "->" if old and new else "",
                Text(new, style="green"),
            )  # fmt: skip
        console.print(table, highlight=False)


def _rows(before: Sequence[LockedFile], after: Sequence[LockedFile]) -> Iterator[Row]:
    """Yield the changes: the commit once, then file by file."""
    yield from _differing(_shared(before), _shared(after))
    roles: tuple[Role, ...] = ("model", "mmproj")
    for role in roles:
        was, now = ([file for file in files if file.role == role] for files in (before, after))
        for old, new in zip_longest(was, now):
            yield from _differing(_facts(old), _facts(new), prefix=f"{role} ")


def _differing(
    before: dict[str, str], after: dict[str, str], *, prefix: str = ""
) -> Iterator[Row]:
    for name in {**before, **after}:
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield f"{prefix}{name}", old, new


def _shared(files: Sequence[LockedFile]) -> dict[str, str]:
    if not files:
        return {}
    return {"repository": files[0].repository, "commit": files[0].revision[:_DIGITS]}


def _facts(file: LockedFile | None) -> dict[str, str]:
    if file is None:
        return {}
    return {
        "file": file.name,
        "quantisation": file.quantisation,
        "bytes": f"{file.size_bytes:,}",
        "sha256": file.sha256[:_DIGITS],
        "source": file.header_source,
        **{name: _value(value) for name, value in asdict(file.header).items()},
    }


def _value(value: object) -> str:
    return f"{value:,}" if type(value) is int else str(value)
