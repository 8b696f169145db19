"""The state as tables: endpoint, models, card, last swaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ops.commands.status.state import State
from ops.errors import OpsError
from ops.report.durations import clock, span
from ops.report.terminal import titled_table

_STYLES = {"serves": "green", "ready": "green", "failed": "red", "waits": "yellow"}
_SHOWN_SWAPS = 8
Looks = Mapping[str, State | OpsError]
"""Pool -> what its exporter sees, or why it does not answer."""


def documented(looks: Looks) -> Any:
    """Return the exporter's document; of several pools a list."""
    found = [
        {"pool": pool, "error": str(seen)}
        if isinstance(seen, OpsError)
        else {"pool": pool, "state": seen.document}
        for pool, seen in looks.items()
    ]
    return found if len(found) > 1 else found[0]["state"]


def rendered_pools(looks: Looks) -> RenderableType:
    """Draw the states, under the names of the pools where there are several."""
    parts: list[RenderableType] = []
    for pool, seen in looks.items():
        if len(looks) > 1:
            parts += [*([Text()] if parts else []), Text(f"Pool {pool}", style="bold")]
        if isinstance(seen, State):
            parts.append(rendered(seen))
        else:
            parts.append(Text(f"Not known: {seen}", style="red"))
    return Group(*parts)


def rendered(state: State) -> RenderableType:
    """Draw a state."""
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
    if not state.vram:
        yield Text("Card: not known")
    for vram in state.vram:
        others = "" if vram.others_mib is None else f", {vram.others_mib:.0f} by other programs"
        card = f"Card {vram.card}".rstrip()
        yield Text(
            f"{card}: {vram.used_mib:.0f} of {vram.total_mib:.0f} MiB used{others} "
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
