"""Show the changes between two locks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llama_swap_config.lock.locked import NO_ENTRY, Lock, LockedFile, Role
from llama_swap_config.lock.memory import Measured

Row = tuple[str, str, str]
_DIGITS = 16
"""Shown digits of a commit or a sha256, so that two fit on one line."""


def show_changes(console: Console, before: Lock, after: Lock, contexts: Mapping[str, int]) -> None:
    """Print the changes of each model.

    Args:
        console: The console.
        before: The old lock.
        after: The new lock.
        contexts: Model id -> the registry's context, at which its memory is compared.
    """
    for model_id in sorted({*before, *after}):
        entries = (before.get(model_id, NO_ENTRY), after.get(model_id, NO_ENTRY))
        rows = list(_rows(*(entry.files for entry in entries)))
        context = contexts.get(model_id, 0)
        rows += _differing(*(_memory(entry.memory, context) for entry in entries))
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
    yield from _differing(_source(*before[:1]), _source(*after[:1]))
    roles: tuple[Role, ...] = ("model", "mmproj")
    for role in roles:
        was, now = ([file for file in files if file.role == role] for files in (before, after))
        for old, new in zip_longest(was, now):
            facts = (_facts(old, before), _facts(new, after))
            yield from _differing(*facts, prefix=f"{role} ")


def _differing(
    before: dict[str, str], after: dict[str, str], *, prefix: str = ""
) -> Iterator[Row]:
    for name in {**before, **after}:
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield f"{prefix}{name}", old, new


def _source(file: LockedFile | None = None) -> dict[str, str]:
    if file is None:
        return {}
    return {"repository": file.repository, "commit": file.revision[:_DIGITS]}


def _facts(file: LockedFile | None, files: Sequence[LockedFile]) -> dict[str, str]:
    """Return a file's facts, its source only if it is not that of the model's first file."""
    if file is None:
        return {}
    header = {} if file.header is None else asdict(file.header)
    source = _source(file)
    return {
        **(source if source != _source(files[0]) else {}),
        "file": file.name,
        "quantisation": file.quantisation,
        "bytes": f"{file.size_bytes:,}",
        "sha256": file.sha256[:_DIGITS],
        "source": file.header_source,
        **{name: _value(value) for name, value in header.items()},
    }


def _memory(memory: Sequence[Measured], context: int) -> dict[str, str]:
    """Return what each build takes at the measured context that has room for the declared one."""
    return {f"memory b{it.engine_build}": _total(it, context) for it in memory}


def _total(measured: Measured, context: int) -> str:
    total = measured.projector_mib + measured.vision_compute_mib
    for part in measured.on_cards:
        large = (at for at in part.contexts if at.context >= context)
        at = next(large, part.contexts[-1])
        total += part.weights_mib + at.kv_cache_mib + at.compute_mib
    cards = len(measured.on_cards)
    where = f" on {cards} cards" if cards > 1 else ""
    return f"{total:,.2f} MiB{where} and CUDA's own, at {at.context:,} tokens"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:,}" if type(value) is int else str(value)
