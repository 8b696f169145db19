"""The state as tables: endpoint, models, card, last swaps."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from ops.commands.status.state import State
from ops.report.durations import clock, span
from ops.report.terminal import titled_table

_STYLES = {"serves": "green", "ready": "green", "failed": "red", "waits": "yellow"}
_SHOWN_SWAPS = 8


def rendered(state: State) -> RenderableType:
    """Draw the state."""
    table = titled_table("Models", "model", "state", "since")
    for model, (model_state, since) in state.models.items():
        shown = Text(model_state, style=_STYLES.get(model_state, ""))
        table.add_row(model, shown, "" if since is None else clock(since))
    swaps = titled_table(
        "Last swaps", "ended", "model", "took", "outcome", "requests that waited",
        right=["took", "requests that waited"],
    )  # fmt: skip
    for swap in sorted(state.swaps, key=lambda swap: -swap.ended)[:_SHOWN_SWAPS]:
        swaps.add_row(
            clock(swap.ended),
            swap.model,
            f"{swap.seconds:.1f} s",
            Text(swap.outcome, style="" if swap.outcome == "ready" else "red"),
            str(swap.waited),
        )
    parts: list[RenderableType] = [*_lines(state), table]
    if state.swaps:
        parts.append(swaps)
    return Group(*parts)


def _lines(state: State) -> Iterator[Text]:
    yield Text.assemble(
        "Endpoint: ",
        (state.endpoint, _STYLES.get(state.endpoint, "")),
        f" since {clock(state.since)}" if state.since is not None else "",
        f"; {state.reason}" if state.reason else "",
        f"; ready in about {span(state.ready_in_s)}" if state.ready_in_s is not None else "",
    )
    last = "none yet" if state.last_ok is None else f"{span(state.time - state.last_ok)} ago"
    yield Text(f"Requests: {state.in_flight} in flight; last answer {last}")
    vram = state.vram
    if vram is None:
        yield Text("Card: not known")
    else:
        others = "" if vram.others_mib is None else f", {vram.others_mib:.0f} by other programs"
        yield Text(
            f"Card: {vram.used_mib:.0f} of {vram.total_mib:.0f} MiB used{others} "
            f"({span(vram.age_s)} ago)"
        )
    yield Text(_window(state))
    for tenant in state.tenants:
        has = {True: "has the card", False: "has not the card", None: "is not known"}
        count = "" if tenant.replicas is None else f", {tenant.replicas} replicas wanted"
        yield Text(f"Tenant {tenant.name}: {has[tenant.has_card]}{count}")


def _window(state: State) -> str:
    if not state.window_open:
        return "Window: none is open"
    until = "" if state.window_until is None else f" until {clock(state.window_until)}"
    late = state.window_until is not None and state.window_until < state.time
    return f"Window: open{until}, held by {state.window_holder}{', past its deadline' * late}"
