"""Prometheus' text format."""

from __future__ import annotations

import pytest

from in_pod.exporter.contract import METRICS, SECONDS_BUCKETS
from in_pod.exporter.series import Series, exposition
from tests.in_pod.exporter.exposition import parse

ANSWERS, WAITS = "llama_swap_answers_total", "llama_swap_request_wait_seconds"


def test_counters_and_histograms_are_written_as_prometheus_reads_them() -> None:
    series = Series()
    series.add(ANSWERS, "eyes", "200", amount=0)
    series.add(ANSWERS, "eyes", "500")
    series.add(ANSWERS, "eyes", "500", amount=2.5)
    for seconds in (0.05, 0.1, 0.11, 299, 300, 301, 5000):
        series.observe(WAITS, seconds, "eyes", "ready")
    samples = parse(exposition(series.families()))
    assert samples.value(ANSWERS, model="eyes", status="200") == 0
    assert samples.value(ANSWERS, model="eyes", status="500") == 3.5
    labels = {"model": "eyes", "outcome": "ready"}
    assert samples.value(f"{WAITS}_bucket", le="0.1", **labels) == 2
    assert samples.value(f"{WAITS}_bucket", le="0.25", **labels) == 3
    assert samples.value(f"{WAITS}_bucket", le="300", **labels) == 5
    assert samples.value(f"{WAITS}_count", **labels) == 7
    assert samples.value(f"{WAITS}_sum", **labels) == pytest.approx(5900.26)


def test_a_clock_that_was_set_back_does_not_make_a_sum_smaller() -> None:
    series = Series()
    series.observe(WAITS, -5, "eyes", "ready")
    samples = parse(exposition(series.families()))
    assert samples.value(f"{WAITS}_sum", model="eyes", outcome="ready") == 0


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a}b{", 'c",status="200', "ö\u2028é"])
def test_a_label_is_escaped(name: str) -> None:
    series = Series()
    series.add(ANSWERS, name, "200")
    text = exposition(series.families())
    assert len(text.split("\n")) == 4
    (labels,) = parse(text).series(ANSWERS)
    unescaped = dict(labels)["model"].replace(r"\n", "\n").replace(r"\"", '"')
    assert unescaped.replace("\\\\", "\\") == name


def test_a_copy_does_not_change_with_later_observations() -> None:
    series = Series()
    series.observe(WAITS, 1, "eyes", "ready")
    copy = series.families()
    series.observe(WAITS, 1, "eyes", "ready")
    assert parse(exposition(copy)).value(f"{WAITS}_count", model="eyes", outcome="ready") == 1


def test_names_and_units_follow_prometheus() -> None:
    for name, metric in METRICS.items():
        assert name.startswith(("llama_swap_", "process_")), name
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert bool(metric.buckets) == (metric.kind == "histogram"), name
        assert metric.help.endswith("."), name
        unit = name.removesuffix("_total").rpartition("_")[2]
        if metric.kind == "histogram":
            assert unit in ("seconds", "second"), name
    assert (SECONDS_BUCKETS[0], SECONDS_BUCKETS[-1]) == (0.1, 300)
