"""The lines that builds print without a terminal."""

from __future__ import annotations

import pytest

from ops.machine import build_display
from ops.machine.build_display import BuildDisplay, Count


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(build_display, "time", clock)
    return clock


def packages(done: int) -> Count:
    return Count(done=done, total=100, unit="packages")


def test_builds_at_once_share_a_line_every_15_s(clock: Clock) -> None:
    lines: list[str] = []
    display = BuildDisplay(lines.append)
    with display.build("Go") as go, display.build("C++") as cpp:
        for clock.now in range(31):
            go(packages(clock.now))
            cpp("configuring")
    assert lines == [
        "    15 s, Go: 15 of 100 packages, about 85 s left; C++: configuring",
        "    30 s, Go: 30 of 100 packages, about 70 s left; C++: configuring",
    ]


def test_what_an_earlier_run_compiled_does_not_speed_up_the_estimate(clock: Clock) -> None:
    lines: list[str] = []
    with BuildDisplay(lines.append).build("Go") as go:
        go(packages(80))
        clock.now = 20
        go(packages(81))
    assert lines == ["    20 s, Go: 81 of 100 packages, about 6 min left"]


def test_nothing_is_estimated_from_the_first_seconds_or_the_last_file(clock: Clock) -> None:
    lines: list[str] = []
    with BuildDisplay(lines.append).build("Go") as go:
        clock.now = 15
        go(packages(50))
        clock.now = 31
        go(packages(100))
    assert lines == ["    15 s, Go: 50 of 100 packages", "    31 s, Go: 100 of 100 packages"]
