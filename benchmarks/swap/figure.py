"""The parts of a swap as an SVG for light and dark pages, without a plotting library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.swap.arms import LIMIT
from benchmarks.swap.tables import p50, p95, part, ratios, totals
from benchmarks.swap.watch import PARTS, Swap
from ops.report.svg import WIDTH, bar, document, text

_LEFT, _RIGHT = 104, 196
_TOP, _ROW, _BAR = 92, 58, 26
_STEPS_MS = (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000)
_CAPTIONS = {
    "llama-swap": "llama-swap",
    "router": "llama-server router",
    LIMIT: "kill and start",
}
_STYLE = """
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 16px; font-weight: 600 }
  .soft { fill: #59636e; font-size: 12px }
  .in { fill: #fff; font-size: 12px }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .whisker { stroke: #1f2328; stroke-width: 1.5; fill: none }
  .page { fill: #fff }
  .p0 { fill: #8250df } .p1 { fill: #9a6700 } .p2 { fill: #0969da } .p3 { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .in { fill: #fff }
    .grid { stroke: #3d444d }
    .whisker { stroke: #e6edf3 }
    .page { fill: #0d1117 }
    .p0 { fill: #8957e5 } .p1 { fill: #9e6a03 } .p2 { fill: #1f6feb } .p3 { fill: #238636 }
  }
"""


def render(swaps_by_arm: Mapping[str, Sequence[Swap]], note: str) -> str:
    """Draw one bar per arm: the medians of its parts, stacked, with a note below.

    Returns:
        A whole SVG document.
    """
    height = _TOP + _ROW * len(swaps_by_arm) + 62
    longest_ms = max(1000 * p95(totals(swaps)) for swaps in swaps_by_arm.values())
    step_ms = next((step for step in _STEPS_MS if longest_ms / step <= 6), 10_000)
    scale = (WIDTH - _LEFT - _RIGHT) / longest_ms
    lines = [
        text(16, 28, "Request to first token, through a swap of two tiny models", "head"),
        *_legend(),
        *_grid(step_ms, longest_ms, scale, _TOP + _ROW * len(swaps_by_arm)),
    ]
    by_arm = ratios(swaps_by_arm) if LIMIT in swaps_by_arm else {}
    for index, (name, swaps) in enumerate(swaps_by_arm.items()):
        lines += _arm(name, swaps, by_arm.get(name), _TOP + _ROW * index, scale)
    return document(
        [*lines, text(16, height - 16, note, "soft")],
        height=height,
        title="What a swap between two models consists of",
        description=_description(swaps_by_arm),
        style=_STYLE,
    )


def _arm(
    name: str, swaps: Sequence[Swap], ratio: float | None, top: float, scale: float
) -> Iterator[str]:
    caption = _CAPTIONS[name].split(" ", 1)
    middle = top + _BAR / 2
    for row, words in enumerate(caption):
        yield text(16, middle + 4 + (row - (len(caption) - 1) / 2) * 15, words, "name")
    x = float(_LEFT)
    for index, name_of_part in enumerate(PARTS):
        ms = 1000 * p50(part(swaps, name_of_part))
        width = ms * scale
        yield bar(f"p{index}", x, top, width, _BAR, f"{name_of_part}: {ms:.0f} ms")
        if width > 28:
            yield text(x + width / 2, middle + 4, f"{ms:.0f}", "in", "middle")
        x += width
    median, high = (1000 * quantile(totals(swaps)) for quantile in (p50, p95))
    left, right = _LEFT + median * scale, _LEFT + high * scale
    yield (
        f'<path class="whisker" d="M{left:.1f} {top + _BAR + 6}H{right:.1f}'
        f'M{left:.1f} {top + _BAR + 2}v8M{right:.1f} {top + _BAR + 2}v8"/>'
    )
    against = "the limit" if ratio is None else f"{ratio:.2f}x the limit"
    yield text(WIDTH - _RIGHT + 20, middle - 4, f"p50 {median:.0f} ms, p95 {high:.0f}", "name")
    yield text(WIDTH - _RIGHT + 20, middle + 13, against, "soft")


def _legend() -> Iterator[str]:
    x = 16
    for index, (name_of_part, width) in enumerate(zip(PARTS, (138, 170, 76, 100), strict=True)):
        yield f'<rect class="p{index}" x="{x}" y="46" width="12" height="12" rx="2"/>'
        yield text(x + 18, 57, name_of_part, "soft")
        x += width
    yield f'<path class="whisker" d="M{x} 52h26m-26 -4v8m26 -8v8"/>'
    yield text(x + 34, 57, "total, p50 to p95", "soft")


def _grid(step_ms: int, longest_ms: float, scale: float, bottom: float) -> Iterator[str]:
    for ms in range(0, int(longest_ms) + 1, step_ms):
        x = _LEFT + ms * scale
        yield f'<path class="grid" d="M{x:.1f} {_TOP - 12}V{bottom - 4}"/>'
        label = f"{ms} ms" if ms == 0 else str(ms)
        yield text(x, bottom + 12, label, "soft", "middle")


def _description(swaps_by_arm: Mapping[str, Sequence[Swap]]) -> str:
    rows = []
    for name, swaps in swaps_by_arm.items():
        parts = ", ".join(
            f"{name_of_part} {1000 * p50(part(swaps, name_of_part)):.0f}" for name_of_part in PARTS
        )
        total = 1000 * p50(totals(swaps)), 1000 * p95(totals(swaps))
        rows.append(
            f"{_CAPTIONS[name]}: total p50 {total[0]:.0f}, p95 {total[1]:.0f}; medians of its "
            f"parts: {parts}."
        )
    return "Stacked bars, all in milliseconds. " + " ".join(rows)
