"""Write the fit of the pools on a terminal, in Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console

from llama_swap_config.fit.homes import Proposal
from llama_swap_config.lock.locked import LOCK_COMMAND
from ops.commands.fit.pools import ModelInPools, PoolFit, PoolsFit
from ops.commands.fit.text import as_json as fit_as_json
from ops.commands.fit.text import as_markdown as fit_as_markdown
from ops.commands.fit.text import node_line, share_of, show_fit, sources, unverified
from ops.report.document import Line, Row, Styled, Table
from ops.report.markdown import table_lines
from ops.report.on_terminal import show_table

_TITLE = "MiB of each model in each pool"


def show(console: Console, fits: PoolsFit) -> None:
    """Show the models against the cards of all pools, in MiB; those of a single one as bars."""
    if fits.only is not None:
        show_fit(console, fits.only)
        return
    show_table(console, _table(fits), title=_TITLE)
    console.print()
    for line in _lines(fits):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def as_markdown(fits: PoolsFit) -> str:
    """Write the fit for a pull request."""
    if fits.only is not None:
        return fit_as_markdown(fits.only)
    verdict = "It fits." if fits.problem is None else f"**Does not fit:** {fits.problem}"
    lines = [f"{verdict} {_TITLE}:", "", *table_lines(_table(fits))]
    for line in _lines(fits):
        lines += ["", line]
    return "\n".join(lines) + "\n"


def as_json(fits: PoolsFit) -> dict[str, Any]:
    """Write the fit as JSON; every number has its unit in its name."""
    if fits.only is not None:
        return fit_as_json(fits.only)
    return {
        "fits": fits.problem is None,
        "problem": fits.problem,
        "models": [
            {
                "id": model.id,
                "pools": list(model.pools),
                "pools_mib": {
                    pool: {str(card): round(mib, 2) for card, mib in cards.items()}
                    for pool, cards in model.mib.items()
                },
            }
            for model in fits.models
        ],
        "pools": [
            {
                "name": pool.home.name,
                "spare_mib": {
                    str(card): round(pool.spare_mib(card), 2)
                    for card in range(pool.home.node.cards)
                },
                "fit": None if pool.fit is None else fit_as_json(pool.fit),
            }
            for pool in fits.pools
        ],
        "proposals": None
        if fits.proposals is None
        else {
            it.id: {
                "pools": list(it.pools),
                "cards": list(it.cards),
                "problem": it.problem or None,
            }
            for it in fits.proposals
        },
    }


def _table(fits: PoolsFit) -> Table:
    """Make the table, with a column for each card of each pool."""
    columns = [(pool, card) for pool in fits.pools for card in range(pool.home.node.cards)]
    names = (
        pool.home.name if pool.home.node.cards == 1 else f"{pool.home.name} card {card}"
        for pool, card in columns
    )
    spare_mib = [pool.spare_mib(card) for pool, card in columns]
    rows: list[tuple[Line, ...]] = [
        ((model.id,), (str(model.context),), *(_cell(model, *column) for column in columns))
        for model in fits.models
    ]
    rows += [
        (("free",), (), *((f"{pool.home.node.card.free_mib}",) for pool, _ in columns)),
        (("spare",), (), *((_styled(f"{mib:.0f}", mib),) for mib in spare_mib)),
    ]
    return Table(
        header=("model", "context", *names),
        rows=tuple(map(Row, rows)),
        numbers=frozenset(range(1, len(columns) + 2)),
        whole=frozenset({0}),
    )


def _styled(text: str, spare_mib: float) -> Styled:
    return Styled(text, "red" if spare_mib < 0 else "green")


def _cell(model: ModelInPools, pool: PoolFit, card: int) -> Line:
    """Write what a model takes of a card, after its rank where it names the pool."""
    name, node = pool.home.name, pool.home.node
    rank = ""
    if name in model.pools:
        rank = "home " if name == model.pools[0] else "second "
    cards = model.mib.get(name)
    if cards is None or max(cards) >= node.cards:
        reason = "unknown" if cards is None else f"no card {max(cards)}"
        return (f"{rank}{reason}",) if card == 0 else ()
    if card not in cards:
        return ()
    mib, spare_mib = cards[card], node.card.free_mib - cards[card]
    if spare_mib < 0:
        return (Styled(f"{rank}{mib:.0f} over", "red"),)
    return (Styled(f"{rank}{mib:.0f}", "" if rank else "dim"),)


def _lines(fits: PoolsFit) -> Iterator[str]:
    """Write what the table has no room for."""
    yield "spare: what a pool's models leave of a card when the most of them are on it."
    for pool in fits.pools:
        yield f"{pool.home.name}: {_node(pool)}"
    found = [pool.fit for pool in fits.pools if pool.fit is not None]
    yield from dict.fromkeys(line for fit in found for line in (*sources(fit), *fit.stand_ins))
    yield from unverified(tuple(dict.fromkeys(it for fit in found for it in fit.unverified)))
    yield from (fit.problem for fit in found if fit.problem not in (None, fits.problem))
    if fits.proposals is not None:
        yield from _proposals(fits.proposals)
    yield "`python -m ops fit --pool NAME` shows the terms and the sets of a pool."


def _node(pool: PoolFit) -> str:
    home, fit = pool.home, pool.fit
    if fit is None:
        return "no model names it."
    shared = "" if home.volume == home.name else f" Volume: that of {home.volume}."
    return f"{share_of(fit)}.{shared} {node_line(fit)}"


def _proposals(proposals: tuple[Proposal, ...]) -> Iterator[str]:
    """Write the lines to paste into the registry."""
    if not proposals:
        yield "Every model fits the pools that it names."
        return
    yield "For llama_swap_config/registry.py:"
    for proposal in proposals:
        arguments = "".join(f" {argument}," for argument in proposal.arguments)
        if proposal.is_estimate:
            arguments += f"  # by estimate until `{LOCK_COMMAND}` asks the engine"
        yield f"  {proposal.id}:{arguments or f' no pool takes it: {proposal.problem}'}"
