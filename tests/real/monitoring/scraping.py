"""A real Prometheus that scrapes exporters."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import yaml

from in_pod.exporter.contract import METRICS_PATH
from ops.machine.ports import free_ports
from ops.machine.prometheus import prometheus
from ops.report.terminal import say

INTERVAL_S = 1


class Prometheus:
    """A Prometheus that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_ready(self) -> bool:
        """Whether it answers queries, which it refuses with 503 while it starts."""
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=30, trust_env=False).is_success
        except httpx2.HTTPError:
            return False

    def get(self, path: str, **query: str) -> Any:
        answer = httpx2.get(f"{self.url}{path}", params=query, timeout=30, trust_env=False)
        document = answer.json()
        assert document["status"] == "success", document
        return document["data"]

    def values(self, expr: str) -> list[float]:
        """Return the numbers that a query finds now; NaN is none."""
        expr = expr.replace("$__rate_interval", "1m")
        found = self.get("/api/v1/query", query=expr)["result"]
        return [float(each["value"][1]) for each in found if each["value"][1] != "NaN"]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.2)


@contextmanager
def scraping(exporters: Mapping[str, str], rules: str, folder: Path) -> Iterator[Prometheus]:
    """Let Prometheus scrape exporters and judge by rules while the context lasts.

    Args:
        exporters: Namespace, as Kubernetes' discovery labels what it finds -> address.
        rules: The rule file.
        folder: For its files.
    """
    port = free_ports()
    (folder / "rules.yaml").write_text(rules)
    job = {
        "job_name": "llama-swap",
        "metrics_path": METRICS_PATH,
        "static_configs": [
            {"targets": [urlsplit(url).netloc], "labels": {"namespace": namespace}}
            for namespace, url in exporters.items()
        ],
    }
    interval = f"{INTERVAL_S}s"
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [job],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        str(prometheus(say) / "prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    asked = Prometheus(f"http://127.0.0.1:{port}")
    try:
        asked.until(asked.is_ready)
        asked.until(lambda: asked.values("llama_swap_up") == [1] * len(exporters))
        yield asked
    finally:
        process.terminate()
        process.wait(20)
