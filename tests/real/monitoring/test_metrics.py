"""The exporter's metrics, each of them, in promtool."""

from __future__ import annotations

import subprocess

from in_pod.exporter.contract import METRICS
from in_pod.exporter.series import Series, exposition
from ops.machine.prometheus import prometheus
from ops.report.terminal import say


def test_promtool_accepts_every_metric() -> None:
    families = {
        name: {tuple("x" for _ in metric.labels): 1.0}
        for name, metric in METRICS.items()
        if metric.kind != "histogram"
    }
    series = Series()
    for name, metric in METRICS.items():
        if metric.kind == "histogram":
            series.observe(name, 1, *("x" for _ in metric.labels))
    checked = subprocess.run(
        [prometheus(say) / "promtool", "check", "metrics"],
        input=exposition(families | series.families()),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
