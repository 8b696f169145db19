"""Loads of each arm as an SVG for light and dark pages, without a plotting library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.pools.cell import Mix
from benchmarks.pools.figures import ByCase, Case, Figures
from ops.report.svg import WIDTH, bar, document, text

MIX: Mix = "steady"
_LEFT, _RIGHT = 116, 130
_TOP, _ROW, _BAR, _GAP = 74, 15, 11, 14
_LEGEND = (118, 150, 166, 150, 130)
"""Widths of its words, in pixels."""
_STYLE = """
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 16px; font-weight: 600 }
  .soft { fill: #59636e; font-size: 11px }
  .page { fill: #fff }
  .p0 { fill: #1a7f37 } .p1 { fill: #0969da } .p2 { fill: #8250df }
  .p3 { fill: #9a6700 } .p4 { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .page { fill: #0d1117 }
    .p0 { fill: #238636 } .p1 { fill: #1f6feb } .p2 { fill: #8957e5 }
    .p3 { fill: #9e6a03 } .p4 { fill: #da3633 }
  }
"""


def render(by_case: ByCase, note: str) -> str:
    """Draw a bar for each arm of each steady case, with a note below.

    Returns:
        A whole SVG document.
    """
    steady = {case: by_arm for case, by_arm in by_case.items() if case.mix == MIX}
    arms = tuple(next(iter(steady.values())))
    most = max(each.loads_per_1000 for by_arm in steady.values() for each in by_arm.values())
    group = len(arms) * _ROW + _GAP
    height = _TOP + group * len(steady) + 28
    lines = [text(16, 28, f"Loads for 1,000 requests, {MIX} mix", "head"), *_legend(arms)]
    for index, (case, by_arm) in enumerate(steady.items()):
        lines += _case(case, by_arm, _TOP + group * index, most)
    return document(
        [*lines, text(16, height - 12, note, "soft")],
        height=height,
        title="Loads of models, by how the router chooses a pool",
        description=" ".join(_words(case, by_arm) for case, by_arm in steady.items()),
        style=_STYLE,
    )


def _case(case: Case, by_arm: Mapping[str, Figures], top: float, most: float) -> Iterator[str]:
    yield text(16, top + 2.4 * _ROW, f"{case.pools} pools,", "name")
    yield text(16, top + 3.4 * _ROW, f"{case.models} models", "name")
    for index, (name, each) in enumerate(by_arm.items()):
        width = each.loads_per_1000 / most * (WIDTH - _LEFT - _RIGHT)
        y = top + index * _ROW
        words = f"{each.loads_per_1000:.0f}, p95 {each.p95_s:.1f} s"
        yield bar(f"p{index}", _LEFT, y, width, _BAR, f"{name}: {words}")
        yield text(_LEFT + width + 6, y + 9.5, words, "soft")


def _legend(arms: tuple[str, ...]) -> Iterator[str]:
    x = 16
    for index, (name, width) in enumerate(zip(arms, _LEGEND, strict=True)):
        yield f'<rect class="p{index}" x="{x}" y="44" width="12" height="12" rx="2"/>'
        yield text(x + 18, 54, name, "soft")
        x += width


def _words(case: Case, by_arm: Mapping[str, Figures]) -> str:
    loads = ", ".join(f"{name} {each.loads_per_1000:.0f}" for name, each in by_arm.items())
    return f"{case}: {loads}."
