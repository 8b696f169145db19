"""Counters and histograms, and Prometheus' text format."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from .contract import METRICS, ONLY_CARD

Labels = tuple[str, ...]
"""Values in the order of the metric's labels."""


@dataclass(slots=True)
class Histogram:
    """Observations by bucket."""

    buckets: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.buckets) + 1)

    def observe(self, value: float) -> None:
        """Count a value in its bucket, whose bound it may equal."""
        self.counts[bisect_left(self.buckets, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        """Return a copy that no later observation changes."""
        return Histogram(self.buckets, list(self.counts), self.total)


Family = Mapping[Labels, float | Histogram]


class Series:
    """What the exporter has counted since its start."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._families: dict[str, dict[Labels, float | Histogram]] = {}

    def add(self, name: str, *labels: str, amount: float = 1) -> None:
        """Increase a counter; by 0, so that it exists before the first event."""
        with self._lock:
            family = self._families.setdefault(name, {})
            value = family.get(labels, 0.0)
            assert not isinstance(value, Histogram)  # noqa: S101 - for the type checker.
            family[labels] = value + amount

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Count an observation; negative ones, from a clock that was set back, count as 0."""
        with self._lock:
            self._histogram(name, labels).observe(max(0.0, value))

    def begin(self, name: str, *labels: str) -> None:
        """Make a histogram exist before its first observation."""
        with self._lock:
            self._histogram(name, labels)

    def _histogram(self, name: str, labels: Labels) -> Histogram:
        family = self._families.setdefault(name, {})
        value = family.setdefault(labels, Histogram(METRICS[name].buckets))
        assert isinstance(value, Histogram)  # noqa: S101 - for the type checker.
        return value

    def families(self) -> dict[str, Family]:
        """Return a copy of everything."""
        with self._lock:
            return {
                name: {
                    labels: value.copy() if isinstance(value, Histogram) else value
                    for labels, value in family.items()
                }
                for name, family in self._families.items()
            }


def exposition(families: Mapping[str, Family]) -> str:
    """Format families as Prometheus' text format 0.0.4, in the order of the contract."""
    return "".join(
        line
        for name in METRICS
        if families.get(name)
        for line in _family_lines(name, families[name])
    )


def _family_lines(name: str, family: Family) -> Iterator[str]:
    metric = METRICS[name]
    yield f"# HELP {name} {_escaped_help(metric.help)}\n"
    yield f"# TYPE {name} {metric.kind}\n"
    for values, value in sorted(family.items()):
        pairs = [
            f'{label}="{_escaped(text)}"'
            for label, text in zip(metric.labels, values, strict=True)
            if (label, text) != ("card", ONLY_CARD)
        ]
        if isinstance(value, Histogram):
            yield from _histogram_lines(name, pairs, value)
        else:
            yield f"{name}{_braced(pairs)} {_number(value)}\n"


def _histogram_lines(name: str, pairs: list[str], value: Histogram) -> Iterator[str]:
    bounds = [*map(_number, value.buckets), "+Inf"]
    for bound, count in zip(bounds, accumulate(value.counts), strict=True):
        pair = f'le="{bound}"'
        yield f"{name}_bucket{_braced([*pairs, pair])} {count}\n"
    yield f"{name}_sum{_braced(pairs)} {_number(value.total)}\n"
    yield f"{name}_count{_braced(pairs)} {sum(value.counts)}\n"


def _braced(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
