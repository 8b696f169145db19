"""The fit as a table of a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llama_swap_config.fit.host import GIB
from llama_swap_config.fit.vram import Vram
from ops.commands.fit.run import Fit, ModelFit, SetFit

TERMS = (
    ("weights", "weights", "blue"),
    ("kv_cache", "KV", "magenta"),
    ("compute", "compute", "cyan"),
    ("projector", "projector", "green"),
    ("vision_compute", "vision", "yellow"),
    ("cuda_context", "CUDA", "white"),
)
"""Field of Vram, its column, and its colour."""
_BAR = 24


def show_fit(console: Console, found: Fit) -> None:
    """Show each model and set as a bar against the card, in MiB."""
    title = f"Each model alone on {found.card.share}; all in MiB"
    table = Table(box=None, pad_edge=False, title_justify="left", title=title)
    table.add_column("model", no_wrap=True)
    for name in ("context", *(name for _, name, _ in TERMS), "total", "spare"):
        table.add_column(name, justify="right")
    table.add_column("")
    for each in found.models:
        table.add_row(
            each.id,
            str(each.context),
            *(_term(each, field) for field, _, _ in TERMS),
            f"{each.vram.total_mib:.0f}",
            _spare(each.spare_mib),
            _bar(found, [each.vram]),
        )
    console.print(table)
    for reachable, heading in ((True, "Together"), (False, "Would fit together")):
        sets = [each for each in found.sets if each.reachable is reachable]
        if sets:
            _show_sets(console, found, sets, heading)
    console.print(f"\n{node_line(found)}", highlight=False, soft_wrap=True)
    if any(each.estimated for each in found.models):
        console.print("~ estimated: the lock does not name that projector", soft_wrap=True)


def _show_sets(console: Console, found: Fit, sets: list[SetFit], heading: str) -> None:
    table = Table(box=None, pad_edge=False, title_justify="left", title=f"\n{heading}")
    for column in ("models", "total", "spare", ""):
        table.add_column(column, justify="right" if column in ("total", "spare") else "left")
    vram = {each.id: each.vram for each in found.models}
    for each in sets:
        table.add_row(
            " + ".join(each.models),
            f"{each.total_mib:.0f}",
            _spare(each.spare_mib),
            _bar(found, [vram[model_id] for model_id in each.models]),
        )
    console.print(table)


def node_line(found: Fit) -> str:
    """Say what disk and host memory there is for what."""
    return (
        f"Volume: {found.disk_bytes / GIB:.1f} of {found.disk_limit_bytes / GIB:.0f} GiB while "
        f"the largest model is replaced. Host memory: {found.host_memory_mib / 1024:.1f} of "
        f"{found.host_memory_limit_mib / 1024:.0f} GiB while it loads."
    )


def as_markdown(found: Fit) -> str:
    """Write the fit for a pull request."""
    verdict = "It fits." if found.problem is None else f"**Does not fit:** {found.problem}"
    names = " | ".join(name for _, name, _ in TERMS)
    lines = [
        f"{verdict} Each model alone on {found.card.share}; all in MiB:",
        "",
        f"| model | context | {names} | total | spare |",
        f"|---|{'---:|' * (len(TERMS) + 3)}",
        *(
            f"| {each.id} | {each.context} | "
            + " | ".join(_term(each, field) for field, _, _ in TERMS)
            + f" | {each.vram.total_mib:.0f} | {each.spare_mib:.0f} |"
            for each in found.models
        ),
        *_markdown_sets(found),
        "",
        node_line(found),
    ]
    return "\n".join(lines) + "\n"


def _markdown_sets(found: Fit) -> Iterator[str]:
    if found.sets:
        yield from ("", "| together | may be | total | spare |", "|---|---|---:|---:|")
    for each in found.sets:
        yield (
            f"| {' + '.join(each.models)} | {'yes' if each.reachable else 'no: RESIDENCY'} | "
            f"{each.total_mib:.0f} | {each.spare_mib:.0f} |"
        )


def as_json(found: Fit) -> dict[str, Any]:
    """Write the fit for a program; every number with its unit in its name."""
    return {
        "fits": found.problem is None,
        "problem": found.problem,
        "card": {
            "product": found.card.product,
            "usable_mib": found.card.usable_mib,
            "floor_mib": found.card.floor_mib,
            "co_tenants": [asdict(each) for each in found.card.co_tenants],
            "free_mib": found.card.free_mib,
        },
        "models": [
            {
                "id": each.id,
                "context": each.context,
                "kv_cache_type": each.kv_cache_type,
                "projector": each.projector,
                "projector_estimated": each.estimated,
                "vram_mib": {name: round(mib, 2) for name, mib in asdict(each.vram).items()},
                "total_mib": round(each.vram.total_mib, 2),
                "spare_mib": round(each.spare_mib, 2),
            }
            for each in found.models
        ],
        "sets": [
            {
                "models": list(each.models),
                "reachable": each.reachable,
                "total_mib": round(each.total_mib, 2),
                "spare_mib": round(each.spare_mib, 2),
            }
            for each in found.sets
        ],
        "volume": {"needed_bytes": found.disk_bytes, "size_bytes": found.disk_limit_bytes},
        "host_memory": {
            "needed_mib": round(found.host_memory_mib, 1),
            "limit_mib": found.host_memory_limit_mib,
        },
    }


def _term(each: ModelFit, field: str) -> str:
    mib = f"{getattr(each.vram, field):.0f}"
    return f"~{mib}" if field == "projector" and each.estimated else mib


def _spare(mib: float) -> Text:
    return Text(f"{mib:.0f}", style="red" if mib < 0 else "green")


def _bar(found: Fit, all_vram: list[Vram]) -> Text:
    """Draw the card: who else is on it, then the terms; what is too much is cut off, and red."""
    card, bar = found.card, Text()
    taken = 0.0

    def add(mib: float, style: str, character: str = "█") -> None:
        nonlocal taken
        cells = round(min(taken + mib, card.usable_mib) / card.usable_mib * _BAR)
        bar.append(character * (cells - len(bar)), style=style)
        taken += mib

    add(card.usable_mib - card.free_mib, "dim", "▒")
    for vram in all_vram:
        for field, _, style in TERMS:
            add(getattr(vram, field), style)
    if taken > card.usable_mib:
        bar.append("▶", style="bold red")
    else:
        bar.append("·" * (_BAR - len(bar)), style="dim")
    return bar
