"""The exporter as a process of its own, and how a test reads it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from in_pod.exporter.contract import METRICS_PATH, STATE_PATH
from in_pod.exporter.plan import Plan
from in_pod.exporter.timing import Timing
from ops.machine.ports import free_ports
from tests.conftest import ROOT
from tests.in_pod.exporter.exposition import Samples, parse

QUICK = Timing(
    tick_s=0.02,
    answers_s=0.1,
    gauges_s=0.1,
    states_s=0.1,
    cluster_s=0.1,
    first_retry_s=0.05,
    last_retry_s=0.2,
)
_PROGRAM = """
import sys
from in_pod.exporter.__main__ import main
from in_pod.exporter.timing import Timing
sys.exit(main({args!r}, timing=Timing(**{timing!r})))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An exporter that runs."""

    url: str
    pid: int

    def metrics(self) -> Samples:
        return parse(self.text(METRICS_PATH))

    def state(self) -> Any:
        return json.loads(self.text(STATE_PATH))

    def text(self, path: str) -> str:
        answer = httpx2.get(self.url + path, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.text

    def wait_for(self, condition: Callable[[Samples], bool], *, timeout_s: float = 30) -> Samples:
        """Scrape until a condition holds, and return that scrape."""
        deadline = time.monotonic() + timeout_s
        while not condition(samples := self.metrics()):
            assert time.monotonic() < deadline, samples.changed()
            time.sleep(0.05)
        return samples

    def wait_for_state(self, condition: Callable[[Any], bool], *, timeout_s: float = 30) -> Any:
        """Read the state until a condition holds, and return it."""
        deadline = time.monotonic() + timeout_s
        while not condition(state := self.state()):
            assert time.monotonic() < deadline, state
            time.sleep(0.05)
        return state

    def wait_until_tried(self) -> str:
        """Wait until the front end was asked in vain, and return why."""
        state = self.wait_for_state(lambda state: state["endpoint"]["reason"].startswith("GET "))
        assert self.metrics().value("llama_swap_up") == 0
        return str(state["endpoint"]["reason"])

    def wait_until_up(self, *, is_up: bool = True) -> Samples:
        return self.wait_for(lambda samples: samples.value("llama_swap_up") == is_up)

    @property
    def most_memory_mib(self) -> float:
        """The most resident memory that the process has had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kib) / 1024


def write_plan(path: Path, plan: Plan) -> Path:
    """Write a plan as the stack renders it."""
    path.write_text(json.dumps({"version": 1, **asdict(plan)}))
    return path


@contextmanager
def exporter(
    plan: Path,
    url: str,
    *args: str,
    timing: Timing = QUICK,
    environment: Mapping[str, str] | None = None,
    limit_mib: int | None = None,
) -> Iterator[Running]:
    """Run the exporter until the context ends.

    Args:
        plan: Its plan.
        url: The front end.
        args: Further arguments (default: `--no-cluster`).
        timing: Its intervals.
        environment: Further variables (default: none).
        limit_mib: The most private memory that it may have (default: no limit).
    """
    port = free_ports(1)
    words = ["--url", url, "--plan", str(plan), "--host", "127.0.0.1", "--port", str(port)]
    program = _PROGRAM.format(args=[*words, *(args or ("--no-cluster",))], timing=asdict(timing))

    def limited() -> None:
        if limit_mib is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit_mib << 20, limit_mib << 20))

    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line == f"listening on 127.0.0.1:{port}\n", process.communicate()[1]
            yield Running(url=f"http://127.0.0.1:{port}", pid=process.pid)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
