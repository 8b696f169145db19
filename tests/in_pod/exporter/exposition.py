"""A strict reader of Prometheus' text format 0.0.4, and of what `promtool check metrics` wants."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_HELP = re.compile(r"# HELP ([a-z_]+) (\S.*\.)")
_TYPE = re.compile(r"# TYPE ([a-z_]+) (counter|gauge|histogram)")
_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (-?[0-9.e+-]+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_SUFFIX = re.compile(r"_(bucket|sum|count)$")

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one scrape."""

    by_name: Mapping[str, Mapping[Labels, float]]
    types: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample; None if there is none."""
        return self.by_name.get(name, {}).get(frozenset(labels.items()))

    def series(self, name: str) -> Mapping[Labels, float]:
        return self.by_name.get(name, {})

    def changed(self) -> dict[str, float]:
        """Return what is not 0, for a message."""
        return {
            f"{name}{sorted(labels)}": value
            for name, family in self.by_name.items()
            for labels, value in family.items()
            if value and not name.endswith("_bucket")
        }


def parse(text: str) -> Samples:
    """Parse a scrape; AssertionError for what Prometheus or promtool would refuse."""
    assert text.endswith("\n")
    types: dict[str, str] = {}
    helps: set[str] = set()
    by_name: dict[str, dict[Labels, float]] = {}
    family = ""
    for line in text.split("\n")[:-1]:
        if found := _HELP.fullmatch(line):
            family = found[1]
            assert family not in helps, line
            helps.add(family)
        elif found := _TYPE.fullmatch(line):
            assert found[1] == family, line
            types[family] = found[2]
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, line
            name = found[1]
            base = _SUFFIX.sub("", name) if types.get(family) == "histogram" else name
            assert base == family, line
            labels = _labels(found[2] or "")
            assert labels not in by_name.setdefault(name, {}), line
            value = float(found[3])
            assert math.isfinite(value), line
            by_name[name][labels] = value
    samples = Samples(by_name=by_name, types=types)
    for name, kind in types.items():
        _check_family(samples, name, kind)
    return samples


def _labels(text: str) -> Labels:
    assert _LABEL.sub("", text) == "", text
    pairs = _LABEL.findall(text)
    assert len(dict(pairs)) == len(pairs), text
    return frozenset(pairs)


def _check_family(samples: Samples, name: str, kind: str) -> None:
    assert name.endswith("_total") == (kind == "counter"), name
    assert not re.search(r"_(milliseconds|ms|minutes|mib|kib|percent)\b", name), name
    if kind == "counter":
        assert all(value >= 0 for value in samples.series(name).values()), name
    if kind == "histogram":
        for labels, count in samples.series(f"{name}_count").items():
            bounds = {
                float(dict(of_bucket)["le"]): value
                for of_bucket, value in samples.series(f"{name}_bucket").items()
                if frozenset((key, text) for key, text in of_bucket if key != "le") == labels
            }
            counts = [bounds[bound] for bound in sorted(bounds)]
            assert counts == sorted(counts), name
            assert bounds[math.inf] == count, name
            assert labels in samples.series(f"{name}_sum"), name
