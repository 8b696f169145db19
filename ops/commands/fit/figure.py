"""Draw the fit as an SVG for light and dark pages, without a plotting library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llama_swap_config.fit.card import Card
from llama_swap_config.fit.vram import Vram
from ops.commands.fit.pools import PoolsFit
from ops.commands.fit.run import Fit
from ops.commands.fit.text import TERMS, share_of
from ops.report.svg import WIDTH, bar, document, text

_LEFT, _RIGHT = 150, 130
_TOP, _ROW, _BAR, _BELOW = 100, 40, 22, 54
_TITLE = 34
"""Pixels between the title of a pool and its first bar."""
_NAME = 18
_STEPS_MIB = (1024, 2048, 4096, 8192, 16384)
_STYLE = """
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 16px; font-weight: 600 }
  .soft { fill: #59636e; font-size: 12px }
  .over { fill: #cf222e; font-size: 12px }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .edge { stroke: #1f2328; stroke-width: 2 }
  .page, .gap { fill: #fff }
  .taken { fill: #afb8c1 }
  .p0 { fill: #0969da } .p1 { fill: #8250df } .p2 { fill: #0c8599 }
  .p3 { fill: #1a7f37 } .p4 { fill: #9a6700 } .p5 { fill: #6e7781 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .over { fill: #f85149 }
    .grid { stroke: #3d444d }
    .edge { stroke: #e6edf3 }
    .page, .gap { fill: #0d1117 }
    .taken { fill: #484f58 }
    .p0 { fill: #1f6feb } .p1 { fill: #8957e5 } .p2 { fill: #1b98a8 }
    .p3 { fill: #238636 } .p4 { fill: #9e6a03 } .p5 { fill: #768390 }
  }
"""


def render(fit: Fit) -> str:
    """Draw one stacked bar for each model and each set, against the end of the card.

    Args:
        fit: The models and sets, with the card.

    Returns:
        A whole SVG document.
    """
    rows = _rows(fit)
    widest = _widest(fit, rows)
    return document(
        [
            text(16, 28, f"VRAM of the models on {share_of(fit)}", "head"),
            *_legend([fit.card]),
            *_bars(fit, rows, _TOP, widest),
        ],
        height=_TOP + _ROW * len(rows) + _BELOW,
        title="VRAM of the models on the card",
        description=_description(fit, rows),
        style=_STYLE,
    )


def render_pools(fits: PoolsFit) -> str:
    """Draw the bars of each pool in a group of their own, all to one scale.

    Args:
        fits: The pools; a single one is drawn as `render` does.

    Returns:
        A whole SVG document.
    """
    if fits.only is not None:
        return render(fits.only)
    groups = [
        (pool.home.name, pool.fit, _rows(pool.fit, reachable=True))
        for pool in fits.pools
        if pool.fit is not None
    ]
    widest = max((_widest(fit, rows) for _, fit, rows in groups), default=1)
    lines = [text(16, 28, "VRAM of the models in their pools", "head")]
    lines += _legend([fit.card for _, fit, _ in groups])
    top, descriptions = _TOP + _TITLE, []
    for name, fit, rows in groups:
        lines.append(text(16, top - _TITLE, f"{name}: {share_of(fit)}", "head"))
        lines += _bars(fit, rows, top, widest)
        top += _ROW * len(rows) + _BELOW + 2 * _TITLE
        descriptions.append(f"{name}: {_description(fit, rows)}")
    return document(
        lines,
        height=top - 2 * _TITLE,
        title="VRAM of the models in their pools",
        description=" ".join(descriptions),
        style=_STYLE,
    )


def _bars(fit: Fit, rows: list[_Row], top: int, widest: float) -> Iterator[str]:
    scale = (WIDTH - _LEFT - _RIGHT) / widest
    yield from _grid(fit.card.usable_mib, widest, scale, top, top + _ROW * len(rows))
    for index, (name, all_vram, spare_mib) in enumerate(rows):
        yield from _row(fit, name, all_vram, spare_mib, top + _ROW * index, scale)


_Row = tuple[tuple[str, ...], tuple[Vram, ...], float]


def _rows(fit: Fit, *, reachable: bool = False) -> list[_Row]:
    """List each model on each of its cards, then each set, or those that RESIDENCY allows."""
    alone = [
        ((_on(fit, model.id, card),), (vram,), fit.card.free_mib - vram.total_mib)
        for model in fit.models
        for card, vram in model.cards.items()
    ]
    return alone + [
        (
            (_on(fit, model_set.models[0], model_set.card), *model_set.models[1:]),
            model_set.vram,
            model_set.spare_mib,
        )
        for model_set in fit.sets
        if model_set.reachable or not reachable
    ]


def _on(fit: Fit, name: str, card: int) -> str:
    return name if fit.count == 1 else f"{card}: {name}"


def _widest(fit: Fit, rows: list[_Row]) -> float:
    """Return the MiB of the card, or of the longest bar if that is more."""
    taken = fit.card.usable_mib - fit.card.free_mib
    ends = (taken + sum(vram.total_mib for vram in all_vram) for _, all_vram, _ in rows)
    return max(fit.card.usable_mib, *ends)


def _row(
    fit: Fit,
    names: tuple[str, ...],
    all_vram: Sequence[Vram],
    spare_mib: float,
    top: float,
    scale: float,
) -> Iterator[str]:
    lines = names if len(names) < 3 else (names[0], f"and {len(names) - 1} more")
    for line, name in enumerate(lines):
        words = name if line == 0 or len(names) > 2 else f"+ {name}"
        words = words if len(words) <= _NAME else f"{words[: _NAME - 1]}…"
        yield text(16, top + _BAR / 2 + 4 + (line - (len(lines) - 1) / 2) * 15, words, "name")
    x = float(_LEFT)
    taken = fit.card.usable_mib - fit.card.free_mib
    if taken:
        yield bar("taken", x, top, taken * scale, _BAR, f"tenants and floor: {taken} MiB")
        x += taken * scale
    for number, vram in enumerate(all_vram):
        if number:
            yield f'<rect class="gap" x="{x - 1:.1f}" y="{top}" width="2" height="{_BAR}"/>'
        for index, (field, name, _) in enumerate(TERMS):
            mib = getattr(vram, field)
            if mib:
                yield bar(f"p{index}", x, top, mib * scale, _BAR, f"{name}: {mib:.0f} MiB")
                x += mib * scale
    total = sum(vram.total_mib for vram in all_vram)
    verdict, style = (
        (f"{spare_mib:.0f} spare", "soft")
        if spare_mib >= 0
        else (f"{-spare_mib:.0f} over", "over")
    )
    yield text(WIDTH - 16, top + _BAR / 2 - 3, f"{total:.0f}", "name", "end")
    yield text(WIDTH - 16, top + _BAR / 2 + 12, verdict, style, "end")


def _legend(cards: Sequence[Card]) -> Iterator[str]:
    x = 16
    entries = [(f"p{index}", name) for index, (_, name, _) in enumerate(TERMS)]
    if any(card.free_mib < card.usable_mib for card in cards):
        entries.append(("taken", "tenants and floor"))
    for style, name in entries:
        yield f'<rect class="{style}" x="{x}" y="48" width="12" height="12" rx="2"/>'
        yield text(x + 18, 59, name, "soft")
        x += 34 + 7 * len(name)


def _grid(
    usable_mib: int, widest: float, scale: float, top: float, bottom: float
) -> Iterator[str]:
    step = next((step for step in _STEPS_MIB if widest / step <= 8), 32768)
    for mib in range(0, int(widest) + 1, step):
        x = _LEFT + mib * scale
        yield f'<path class="grid" d="M{x:.1f} {top - 12}V{bottom}"/>'
        yield text(x, bottom + 18, f"{mib // 1024} GiB", "soft", "middle")
    x = _LEFT + usable_mib * scale
    yield f'<path class="edge" d="M{x:.1f} {top - 16}V{bottom}"/>'
    yield text(x, bottom + 36, f"the card: {usable_mib} MiB", "soft", "middle")


def _description(fit: Fit, rows: list[_Row]) -> str:
    parts = [
        f"{' + '.join(names)}: {sum(vram.total_mib for vram in all_vram):.0f}, "
        + (f"{spare:.0f} spare." if spare >= 0 else f"{-spare:.0f} over.")
        for names, all_vram, spare in rows
    ]
    return f"Stacked bars in MiB against {share_of(fit)}. {' '.join(parts)}"
