"""Write the fit on a terminal, in Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

from rich.console import Console

from llama_swap_config.fit.card import Card
from llama_swap_config.fit.host import GIB
from llama_swap_config.fit.vram import Vram
from ops.commands.fit.run import Fit, ModelFit, SetFit
from ops.report.document import Line, Row, Styled, Table
from ops.report.markdown import table_lines
from ops.report.on_terminal import show_table

TERMS = (
    ("weights", "weights", "blue"),
    ("kv_cache", "KV", "magenta"),
    ("compute", "compute", "cyan"),
    ("projector", "projector", "green"),
    ("vision_compute", "vision", "yellow"),
    ("cuda_context", "CUDA", "white"),
)
"""Field of Vram, name of its column, and colour."""
_BAR = 24


class _Column(NamedTuple):
    """One column of a table of models or of sets."""

    name: str
    cell: Callable[[Any], Line]
    is_number: bool = True


def _term(model: ModelFit, field: str) -> Line:
    mib = f"{getattr(model.vram, field):.0f}"
    return (f"~{mib}" if field == "projector" and model.estimated else mib,)


def _total(load: ModelFit | SetFit) -> Line:
    return (f"{load.total_mib:.0f}",)


def _spare(load: ModelFit | SetFit) -> Line:
    return (Styled(f"{load.spare_mib:.0f}", "red" if load.spare_mib < 0 else "green"),)


def _names(model_set: SetFit) -> Line:
    return (" + ".join(model_set.models),)


_TAKEN = (_Column("total", _total), _Column("spare", _spare))
_MODEL_COLUMNS = (
    _Column("model", lambda model: (model.id,), is_number=False),
    _Column("context", lambda model: (str(model.context),)),
    *(_Column(name, partial(_term, field=field)) for field, name, _ in TERMS),
    *_TAKEN,
)
"""The columns of the table of models, on a terminal and in Markdown."""


def _table(columns: tuple[_Column, ...], loads: Iterable[ModelFit | SetFit]) -> Table:
    return Table(
        header=tuple(column.name for column in columns),
        rows=tuple(Row(tuple(column.cell(load) for column in columns)) for load in loads),
        numbers=frozenset(index for index, column in enumerate(columns) if column.is_number),
        whole=frozenset(index for index, column in enumerate(columns) if column.name == "model"),
    )


def show_fit(console: Console, fit: Fit) -> None:
    """Show each model and set as a bar against the card, in MiB."""
    bar = _Column("", lambda load: _bar(fit.card, load), is_number=False)
    show_table(
        console,
        _table((*_MODEL_COLUMNS, bar), fit.models),
        title=f"Each model alone on {fit.card.share}; all in MiB",
    )
    columns = (_Column("models", _names, is_number=False), *_TAKEN, bar)
    for reachable, heading in ((True, "Together"), (False, "Would fit together")):
        sets = [model_set for model_set in fit.sets if model_set.reachable is reachable]
        if sets:
            show_table(console, _table(columns, sets), title=f"\n{heading}")
    console.print(f"\n{node_line(fit)}", highlight=False, soft_wrap=True)
    if any(model.estimated for model in fit.models):
        console.print("~ estimated: models.lock.json does not have that projector", soft_wrap=True)
    for line in fit.stand_ins:
        console.print(f"\n{line}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def node_line(fit: Fit) -> str:
    """Compare disk and host memory with what the models need."""
    return (
        f"Volume: {fit.disk_bytes / GIB:.1f} of {fit.disk_limit_bytes / GIB:.0f} GiB while "
        f"the largest model is replaced. Host memory: {fit.host_memory_mib / 1024:.1f} of "
        f"{fit.host_memory_limit_mib / 1024:.0f} GiB while it loads."
    )


def as_markdown(fit: Fit) -> str:
    """Write the fit for a pull request."""
    verdict = "It fits." if fit.problem is None else f"**Does not fit:** {fit.problem}"
    lines = [
        f"{verdict} Each model alone on {fit.card.share}; all in MiB:",
        "",
        *table_lines(_table(_MODEL_COLUMNS, fit.models)),
    ]
    if fit.sets:
        may_be = _Column(
            "may be resident",
            lambda model_set: ("yes" if model_set.reachable else "no: RESIDENCY",),
            is_number=False,
        )
        columns = (_Column("models", _names, is_number=False), may_be, *_TAKEN)
        lines += ["", *table_lines(_table(columns, fit.sets))]
    for line in (node_line(fit), *fit.stand_ins):
        lines += ["", line]
    return "\n".join(lines) + "\n"


def as_json(fit: Fit) -> dict[str, Any]:
    """Write the fit as JSON; every number has its unit in its name."""
    return {
        "fits": fit.problem is None,
        "problem": fit.problem,
        "stand_ins": list(fit.stand_ins),
        "card": {
            "product": fit.card.product,
            "usable_mib": fit.card.usable_mib,
            "floor_mib": fit.card.floor_mib,
            "co_tenants": [asdict(tenant) for tenant in fit.card.co_tenants],
            "free_mib": fit.card.free_mib,
        },
        "models": [
            {
                "id": model.id,
                "context": model.context,
                "kv_cache_type": model.kv_cache_type,
                "projector": model.projector,
                "projector_estimated": model.estimated,
                "vram_mib": {name: round(mib, 2) for name, mib in asdict(model.vram).items()},
                "total_mib": round(model.total_mib, 2),
                "spare_mib": round(model.spare_mib, 2),
            }
            for model in fit.models
        ],
        "sets": [
            {
                "models": list(model_set.models),
                "reachable": model_set.reachable,
                "total_mib": round(model_set.total_mib, 2),
                "spare_mib": round(model_set.spare_mib, 2),
            }
            for model_set in fit.sets
        ],
        "volume": {"needed_bytes": fit.disk_bytes, "size_bytes": fit.disk_limit_bytes},
        "host_memory": {
            "needed_mib": round(fit.host_memory_mib, 1),
            "limit_mib": fit.host_memory_limit_mib,
        },
    }


def _bar(card: Card, load: ModelFit | SetFit) -> Line:
    """Draw the card: its tenants, then the terms; what does not fit is cut off by a red arrow."""
    parts: list[Styled] = []
    drawn, taken = 0, 0.0

    def add(mib: float, style: str, character: str = "█") -> None:
        nonlocal drawn, taken
        taken += mib
        end = round(min(taken, card.usable_mib) / card.usable_mib * _BAR)
        parts.append(Styled(character * (end - drawn), style))
        drawn = max(drawn, end)

    add(card.usable_mib - card.free_mib, "dim", "▒")
    for vram in (load.vram,) if isinstance(load.vram, Vram) else load.vram:
        for field, _, style in TERMS:
            add(getattr(vram, field), style)
    if taken > card.usable_mib:
        parts.append(Styled("▶", "bold red"))
    else:
        parts.append(Styled("·" * (_BAR - drawn), "dim"))
    return tuple(parts)
