"""The exporter and a Prometheus that outlive the command that starts them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from in_pod.exporter.contract import HEALTH_PATH, KEY_VARIABLE, METRICS_PATH, PLAN_FILE
from ops.machine.checkout import ROOT
from ops.machine.ports import free_ports
from ops.machine.processes import Processes
from ops.machine.prometheus import prometheus
from ops.report.terminal import Say

_EXPORTER, _PROMETHEUS = "exporter", "prometheus"
_READY_TIMEOUT_S = 30
_RULES_FILE, _CONFIG_FILE = "rules.yaml", "prometheus.yaml"
_RETENTION = "1d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """An exporter and a Prometheus that run."""

    exporter_url: str
    """`http://127.0.0.1:PORT`."""
    prometheus_url: str


def start(
    state_dir: Path,
    *,
    url: str,
    key: str,
    plan: str,
    rules: str,
    gateway_url: str | None,
    say: Say,
) -> Monitoring:
    """Start both anew; Prometheus keeps what it has stored.

    Args:
        state_dir: The directory of configuration, data, logs and records.
        url: The front end's address.
        key: Its API key; empty: it requires none.
        plan: The exporter's plan.
        rules: The rule file.
        gateway_url: The address of a gateway to scrape too; None: there is none.
        say: Receives a line for the operator.

    Raises:
        OpsError: when one does not start, naming its log; nothing is left running.
    """
    programs = prometheus(say)
    stop(state_dir)
    folder = _folder(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(folder)
    port = free_ports(2)
    running = Monitoring(
        exporter_url=f"http://127.0.0.1:{port}", prometheus_url=f"http://127.0.0.1:{port + 1}"
    )
    (folder / PLAN_FILE).write_text(plan, encoding="utf-8")
    (folder / _RULES_FILE).write_text(rules, encoding="utf-8")
    config = _config(running.exporter_url, gateway_url)
    (folder / _CONFIG_FILE).write_text(config, encoding="utf-8")
    listen = ("--host", "127.0.0.1", "--port", str(port))
    try:
        processes.start(
            _EXPORTER,
            [
                *(sys.executable, "-m", "in_pod.exporter", "--url", url, "--no-cluster"),
                *("--plan", str(folder / PLAN_FILE), *listen),
            ],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), KEY_VARIABLE: key},
        )
        processes.wait_for_answer(
            _EXPORTER, f"{running.exporter_url}{HEALTH_PATH}", timeout_s=_READY_TIMEOUT_S
        )
        processes.start(
            _PROMETHEUS,
            [
                str(programs / "prometheus"),
                f"--config.file={folder / _CONFIG_FILE}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--storage.tsdb.retention.time={_RETENTION}",
                f"--web.listen-address=127.0.0.1:{port + 1}",
            ],
        )
        processes.wait_for_answer(
            _PROMETHEUS, f"{running.prometheus_url}/-/ready", timeout_s=_READY_TIMEOUT_S
        )
    except BaseException:
        stop(state_dir)
        raise
    return running


def stop(state_dir: Path) -> bool:
    """Stop both; return whether one was running."""
    processes = Processes(_folder(state_dir))
    return any([processes.stop(name) for name in (_PROMETHEUS, _EXPORTER)])


def _folder(state_dir: Path) -> Path:
    return state_dir / "monitoring"


def _config(exporter_url: str, gateway_url: str | None) -> str:
    jobs = [_job("llama-swap", exporter_url, METRICS_PATH)]
    if gateway_url is not None:
        jobs.append(_job("litellm", gateway_url, "/metrics/"))
    interval = {"scrape_interval": "5s", "evaluation_interval": "15s"}
    document = {"global": interval, "rule_files": [_RULES_FILE], "scrape_configs": jobs}
    return yaml.safe_dump(document, sort_keys=False)


def _job(name: str, url: str, path: str) -> dict[str, object]:
    targets = [{"targets": [urlsplit(url).netloc]}]
    return {"job_name": name, "metrics_path": path, "static_configs": targets}
