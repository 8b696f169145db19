"""The figures as tables on a terminal and as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from benchmarks.gateway.clients import Round
from benchmarks.gateway.doors import ALONE, GATEWAY, PROTECTED
from benchmarks.swap.tables import p50
from ops.report.terminal import titled_table

Rounds = Mapping[str, Sequence[Round]]
"""Door -> its rounds."""
Waits = Mapping[str, Mapping[str, Sequence[float]]]
"""Kind of request -> door -> seconds."""
MOST_P95 = 1.1
"""The gateway's p95 against that of LiteLLM alone, at most."""
MOST_ADDED_MS = 5.0
"""What the gateway adds to a warm answer of LiteLLM alone, at most."""


def rounds_table(rounds: Rounds, seconds: float) -> Table:
    """Return one row per door: medians of its rounds."""
    numbers = ("answered", "refused", "errors", "swaps", "p50", "p95")
    count = len(next(iter(rounds.values())))
    table = titled_table(
        f"Eight clients, three models: medians of {count} rounds of {seconds:g} s",
        "door", *numbers, "errors by status", right=numbers,
    )  # fmt: skip
    for name, of_door in rounds.items():
        errors = sum((each.errors for each in of_door), Counter())
        table.add_row(
            name,
            f"{p50(len(each.waits_s) for each in of_door):g}",
            f"{p50(each.refused for each in of_door):g}",
            f"{p50(each.errors.total() for each in of_door):g}",
            f"{p50(each.swaps for each in of_door):g}",
            f"{p50(each.p50_s for each in of_door):.2f} s",
            f"{p50(each.p95_s for each in of_door):.2f} s",
            ", ".join(f"{status}: {errors[status]}" for status in sorted(errors)) or "-",
        )
    return table


def waits_table(waits: Waits) -> Table:
    """Return one row per kind of request: each door's median for a loaded model."""
    doors = tuple(next(iter(waits.values())))
    count = len(next(iter(waits.values()))[doors[0]])
    table = titled_table(
        f"A loaded model's answer, one client: medians of {count}, ms",
        "request", *doors, "gateway adds", right=(*doors, "gateway adds"),
    )  # fmt: skip
    for kind, by_door in waits.items():
        table.add_row(
            kind,
            *(f"{1000 * p50(by_door[name]):.1f}" for name in doors),
            f"{added_ms(by_door):+.1f}",
        )
    return table


def added_ms(by_door: Mapping[str, Sequence[float]]) -> float:
    """Return what the gateway adds to the median of LiteLLM alone, in milliseconds."""
    return 1000 * (p50(by_door[GATEWAY]) - p50(by_door[ALONE]))


def goals(rounds: Rounds, waits: Waits) -> Iterator[str]:
    """Yield a line for each goal: the figure, the goal, and whether it is met."""
    gateway, alone = rounds[GATEWAY], rounds[ALONE]
    others = [of_door for name, of_door in rounds.items() if name not in (GATEWAY, PROTECTED)]
    for what, number in (
        ("swaps", lambda each: each.swaps),
        ("errors", lambda each: each.errors.total()),
    ):
        most = max(p50(map(number, of_door)) for of_door in others)
        yield _goal(what, p50(map(number, gateway)), most, "{:g}")
    ratio = p50(each.p95_s for each in gateway) / p50(each.p95_s for each in alone)
    yield _goal("p95 against LiteLLM alone", ratio, MOST_P95, "{:.2f}x")
    for kind, by_door in waits.items():
        yield _goal(f"added to a {kind}", added_ms(by_door), MOST_ADDED_MS, "{:.1f} ms")


def _goal(what: str, value: float, most: float, form: str) -> str:
    met = "met" if value <= most else "missed"
    return f"{what}: {form.format(value)}; goal: at most {form.format(most)}, {met}"
