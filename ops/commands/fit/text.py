"""Write the fit on a terminal, in Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

from rich.console import Console

from llama_swap_config.fit.card import Card
from llama_swap_config.fit.host import GIB
from llama_swap_config.fit.vram import Source, Vram
from llama_swap_config.lock.locked import LOCK_COMMAND
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
_SOURCES: Mapping[Source, tuple[str, str]] = {
    "at most": (
        "at most; the engine's figures for other contexts",
        f"`{LOCK_COMMAND}` makes them exact.",
    ),
    "formula": ("by formula", "The engine was not asked about these values."),
}
"""Of Vram -> what a reader has to know about it, and what follows where no reason is known."""
_LARGEST: Mapping[Source, str] = {
    "at most": "at least; by the engine's figures for other contexts",
    "formula": "by formula",
}
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


def _on_card(model: ModelFit, card: int) -> Line:
    return (f"{model.cards[card].total_mib:.0f}",) if card in model.cards else ()


_TAKEN = (_Column("total", _total), _Column("spare", _spare))
_MODEL_COLUMNS = (
    _Column("model", lambda model: (model.id,), is_number=False),
    _Column("context", lambda model: (str(model.context),)),
    *(_Column(name, partial(_term, field=field)) for field, name, _ in TERMS),
    *_TAKEN,
)
"""The columns of the table of models, on a terminal and in Markdown."""


def _model_columns(fit: Fit) -> tuple[_Column, ...]:
    columns = _MODEL_COLUMNS
    if fit.count > 1:
        *terms, spare = columns
        cards = sorted(
            {*range(fit.count), *(card for model in fit.models for card in model.cards)}
        )
        on_cards = (_Column(f"card {card}", partial(_on_card, card=card)) for card in cards)
        columns = (*terms, *on_cards, spare)
    if all(model.largest is None for model in fit.models):
        return columns
    return (*columns, _Column("largest context", _largest))


def _set_columns(fit: Fit, *others: _Column) -> tuple[_Column, ...]:
    card = _Column("card", lambda model_set: (str(model_set.card),))
    of_card = (card,) if fit.count > 1 else ()
    return (_Column("models", _names, is_number=False), *of_card, *others)


def share_of(fit: Fit) -> str:
    """Return the cards' memory, in words."""
    return fit.card.share if fit.count == 1 else f"{fit.count} cards, each {fit.card.share}"


def _alone(fit: Fit) -> str:
    own = "its own of " if fit.count > 1 else ""
    return f"Each model alone on {own}{share_of(fit)}; all in MiB"


def _largest(model: ModelFit) -> Line:
    if model.largest is None:
        return ()
    return (str(model.largest.tokens or "none"),)


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
    of_models = _model_columns(fit)
    if of_models == _MODEL_COLUMNS:  # Other columns and the bar do not fit 120 characters.
        of_models = (*of_models, bar)
    show_table(
        console,
        _table(of_models, fit.models),
        title=_alone(fit),
    )
    columns = _set_columns(fit, *_TAKEN, bar)
    for reachable, heading in ((True, "Together"), (False, "Would fit together")):
        sets = [model_set for model_set in fit.sets if model_set.reachable is reachable]
        if sets:
            show_table(console, _table(columns, sets), title=f"\n{heading}")
    console.print(f"\n{node_line(fit)}", highlight=False, soft_wrap=True)
    for line in _notes(fit):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for line in fit.stand_ins:
        console.print(f"\n{line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if fit.proposals is not None:
        console.print()
    for line in _proposals(fit):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def node_line(fit: Fit) -> str:
    """Compare disk and host memory with what the models need; name the cards without a model."""
    volume = ""
    if fit.disk_bytes is not None:
        volume = (
            f"Volume: {fit.disk_bytes / GIB:.1f} of {fit.disk_limit_bytes / GIB:.0f} GiB while "
            "the largest model is replaced. "
        )
    return (
        f"{volume}Host memory: {fit.host_memory_mib / 1024:.1f} of "
        f"{fit.host_memory_limit_mib / 1024:.0f} GiB while "
        f"{'it loads' if fit.count == 1 else 'each card loads its largest'}."
        f"{''.join(map(_idle, sorted(_idle_cards(fit))))}"
    )


def _idle_cards(fit: Fit) -> set[int]:
    return set(range(fit.count)).difference(*(model.cards for model in fit.models))


def _idle(card: int) -> str:
    return f" Card {card} is idle: no model has it in `cards`."


def sources(fit: Fit) -> tuple[str, ...]:
    """Say who answered, where it was not the lock's figures for these very values."""
    lines = []
    engine = f"llama.cpp b{fit.engine_build}"
    if ids := _ids(model for model in fit.models if model.asked):
        lines.append(f"{ids}: by {engine}, asked just now.")
    if ids := _ids(it for it in fit.models if it.largest and it.largest.source == "engine"):
        lines.append(f"Largest context of {ids}: by {engine}.")
    for source, (said, otherwise) in _SOURCES.items():
        of_source = [model for model in fit.models if model.vram.source == source]
        if ids := _ids(model for model in of_source if not model.not_asked):
            lines.append(f"{ids}: {said}. {otherwise}")
        if ids := _ids(model for model in of_source if model.not_asked):
            lines.append(f"{ids}: {said}.")
        if ids := _ids(it for it in fit.models if it.largest and it.largest.source == source):
            lines.append(f"Largest context of {ids}: {_LARGEST[source]}.")
    for reason in dict.fromkeys(model.not_asked for model in fit.models if model.not_asked):
        ids = _ids(model for model in fit.models if model.not_asked == reason)
        lines.append(
            f"The engine was not asked about {ids}: {reason}. `{LOCK_COMMAND}` asks it about the "
            "registry's values."
        )
    if any(model.estimated for model in fit.models):
        lines.append("~ estimated: models.lock.json does not have that projector")
    return tuple(lines)


def unverified(ids: Collection[str]) -> tuple[str, ...]:
    """Say which models' files nobody has read yet; empty without such models."""
    if not ids:
        return ()
    return (
        f"Not verified against the hub: {', '.join(ids)}. Their files are known from published "
        "shapes until `python -m ops lock --update` reads them.",
    )


def _notes(fit: Fit) -> tuple[str, ...]:
    return (*sources(fit), *unverified(fit.unverified))


def _proposals(fit: Fit) -> Iterator[str]:
    """Write the lines to paste into the registry."""
    if fit.proposals is None:
        return
    if not fit.proposals:
        yield "Every model fits the cards that it names."
        return
    yield f"For llama_swap_config/registry.py, by estimate until `{LOCK_COMMAND}` asks the engine:"
    split = {model.id for model in fit.models if model.tensor_split}
    for model_id, cards in fit.proposals.items():
        found = f"no choice of {fit.count} cards" if cards is None else f"cards={cards},"
        shares = " tensor_split=()," if cards is not None and model_id in split else ""
        yield f"  {model_id}: {found}{shares}"


def _ids(models: Iterable[ModelFit]) -> str:
    return ", ".join(model.id for model in models)


def as_markdown(fit: Fit) -> str:
    """Write the fit for a pull request."""
    verdict = "It fits." if fit.problem is None else f"**Does not fit:** {fit.problem}"
    lines = [
        f"{verdict} {_alone(fit)}:",
        "",
        *table_lines(_table(_model_columns(fit), fit.models)),
    ]
    if fit.sets:
        may_be = _Column(
            "may be resident",
            lambda model_set: ("yes" if model_set.reachable else "no: RESIDENCY",),
            is_number=False,
        )
        columns = _set_columns(fit, may_be, *_TAKEN)
        lines += ["", *table_lines(_table(columns, fit.sets))]
    for line in (node_line(fit), *_notes(fit), *fit.stand_ins, *_proposals(fit)):
        lines += ["", line]
    return "\n".join(lines) + "\n"


def as_json(fit: Fit) -> dict[str, Any]:
    """Write the fit as JSON; every number has its unit in its name."""
    return {
        "fits": fit.problem is None,
        "problem": fit.problem,
        "stand_ins": list(fit.stand_ins),
        "notes": list(_notes(fit)),
        "card": {
            "product": fit.card.product,
            "usable_mib": fit.card.usable_mib,
            "floor_mib": fit.card.floor_mib,
            "co_tenants": [asdict(tenant) for tenant in fit.card.co_tenants],
            "free_mib": fit.card.free_mib,
            "count": fit.count,
        },
        "engine_build": fit.engine_build,
        "models": [
            {
                "id": model.id,
                "context": model.context,
                "kv_cache_type": model.kv_cache_type,
                "projector": model.projector,
                "projector_estimated": model.estimated,
                "vram_mib": {name: round(getattr(model.vram, name), 2) for name, *_ in TERMS},
                "cards_mib": {
                    str(card): round(vram.total_mib, 2) for card, vram in model.cards.items()
                },
                "vram_source": model.vram.source,
                "engine_not_asked": model.not_asked or None,
                "total_mib": round(model.total_mib, 2),
                "spare_mib": round(model.spare_mib, 2),
                "largest_context": None
                if model.largest is None
                else {"tokens": model.largest.tokens, "source": model.largest.source},
            }
            for model in fit.models
        ],
        "sets": [
            {
                "models": list(model_set.models),
                "reachable": model_set.reachable,
                "card": model_set.card,
                "total_mib": round(model_set.total_mib, 2),
                "spare_mib": round(model_set.spare_mib, 2),
            }
            for model_set in fit.sets
        ],
        "proposals": fit.proposals,
        "volume": None
        if fit.disk_bytes is None
        else {"needed_bytes": fit.disk_bytes, "size_bytes": fit.disk_limit_bytes},
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
