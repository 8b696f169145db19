"""Measure what the exporter costs beside the front end that it watches.

    python -m benchmarks.exporter.cost --seconds 60 --rate 10

Clients ask a tiny model so many times a second while Prometheus' scrapes are played. CPU seconds
and memory of exporter and front end come from the same run; the llama-server is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.swap.tiny_store import make_store
from in_pod.exporter.contract import METRICS_PATH, PLAN_FILE
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.plans.exporter import render_exporter_plan
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import Served
from ops.machine.checkout import ROOT
from ops.machine.ports import free_ports

_SCRAPE_S = 15.0
"""Prometheus' usual interval."""
_WARM_UP_S = 5.0
_GOAL_MIB, _GOAL_CORE = 40.0, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process used during the run."""

    name: str
    core: float
    """Share of one core."""
    mib: float
    """Most resident memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run."""

    seconds: float
    answers: int
    failures: int
    exporter: Cost
    front_end: Cost

    @property
    def is_within_goal(self) -> bool:
        """Whether the exporter is as cheap as it has to be."""
        return self.exporter.mib <= _GOAL_MIB and self.exporter.core <= _GOAL_CORE


def measure(
    front_end: FrontEndName, folder: Path, *, seconds: float, rate: float, scrape_s: float
) -> Result:
    """Serve, watch and ask in an empty folder.

    Args:
        front_end: The front end.
        folder: An empty directory.
        seconds: Length of the run.
        rate: Answers a second.
        scrape_s: Seconds between two scrapes.
    """
    store = make_store(folder / "models")
    served = serve.start(store, folder, front_end=front_end, port=None, say=lambda _: None)
    try:
        with _exporter(store, served, folder) as (process, url):
            _ask(served.url, store.models[0].model.id)
            time.sleep(_WARM_UP_S)
            watched = (process, psutil.Process(served.pid))
            before = [_cpu_s(each) for each in watched]
            started = time.monotonic()
            answers, failures = _load(
                served.url, store.models[0].model.id, url,
                seconds=seconds, rate=rate, scrape_s=scrape_s,
            )  # fmt: skip
            elapsed_s = time.monotonic() - started
            _check_watched(url, answers, counts=front_end == "llama-swap")
            costs = [
                Cost(name=name, core=(_cpu_s(each) - cpu_s) / elapsed_s, mib=_most_mib(each))
                for name, each, cpu_s in zip(("exporter", front_end), watched, before, strict=True)
            ]
            return Result(
                seconds=elapsed_s,
                answers=answers,
                failures=failures,
                exporter=costs[0],
                front_end=costs[1],
            )
    finally:
        serve.stop(folder)


@contextmanager
def _exporter(
    store: LocalStore, served: Served, folder: Path
) -> Iterator[tuple[psutil.Process, str]]:
    plan = folder / PLAN_FILE
    plan.write_text(
        render_exporter_plan(store.models, front_end=served.front_end, config="", machine=None)
    )
    port = free_ports(1)
    command = [
        *(sys.executable, "-m", "in_pod.exporter", "--url", served.url, "--plan", str(plan)),
        *("--no-cluster", "--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield psutil.Process(process.pid), f"http://127.0.0.1:{port}{METRICS_PATH}"
        finally:
            process.terminate()


def _load(
    url: str, model: str, metrics_url: str, *, seconds: float, rate: float, scrape_s: float
) -> tuple[int, int]:
    """Ask at a steady rate, and scrape meanwhile; return answers and failures."""
    started = time.monotonic()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    is_over = threading.Event()

    def scrape() -> None:
        while not is_over.wait(scrape_s):
            with opener.open(metrics_url, timeout=30) as answer:
                answer.read()

    scraper = threading.Thread(target=scrape)
    scraper.start()
    answers = failures = 0
    try:
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            if _ask(url, model) == 200:
                answers += 1
            else:
                failures += 1
    finally:
        is_over.set()
        scraper.join()
    return answers, failures


def _check_watched(url: str, answers: int, *, counts: bool) -> None:
    """Raise RuntimeError if the exporter was cheap because it saw nothing."""
    deadline = time.monotonic() + _WARM_UP_S
    wanted = ["llama_swap_up 1\n"]
    if counts:
        # One more asked before the run.
        wanted.append(f'status="200"}} {answers + 1}\n')
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with opener.open(url, timeout=30) as answer:
            text = answer.read().decode()
        if all(words in text for words in wanted):
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the exporter did not see every answer")
        time.sleep(0.2)


def _ask(url: str, model: str) -> int:
    body = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "ba"}]}
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _most_mib(process: psutil.Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc has no VmHWM")


def _table(result: Result) -> Table:
    table = Table(title=f"{result.answers} answers in {result.seconds:.0f} s")
    for name in ("process", "% of a core", "peak MiB", "CPU ms an answer"):
        table.add_column(name, justify="left" if name == "process" else "right")
    for cost in (result.exporter, result.front_end):
        per_answer_ms = 1000 * cost.core * result.seconds / max(1, result.answers)
        table.add_row(
            cost.name, f"{100 * cost.core:.2f}", f"{cost.mib:.1f}", f"{per_answer_ms:.2f}"
        )
    return table


def main() -> int:
    """Print the table; return 1 if the exporter costs more than its goal."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exporter.cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="Length of the run (default: %(default)s)."
    )
    parser.add_argument(
        "--rate", type=float, default=10, help="Answers a second (default: %(default)s)."
    )
    parser.add_argument(
        "--scrape-s", type=float, default=_SCRAPE_S, metavar="S",
        help="Seconds between two scrapes (default: %(default)s).",
    )  # fmt: skip
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 100)
    is_within_goal = True
    for front_end in serve.available():
        with tempfile.TemporaryDirectory() as folder:
            result = measure(
                front_end,
                Path(folder),
                seconds=options.seconds,
                rate=options.rate,
                scrape_s=options.scrape_s,
            )
        console.print(_table(result))
        ratio = result.exporter.core / max(result.front_end.core, 1e-9)
        console.print(
            f"the exporter uses {ratio:.2f} times the CPU time of {front_end}; "
            f"{result.failures} requests failed\n",
            highlight=False,
        )
        is_within_goal = is_within_goal and result.is_within_goal
    goal = f"{_GOAL_MIB:.0f} MiB and {100 * _GOAL_CORE:.0f} % of a core"
    console.print(f"{'within' if is_within_goal else 'beyond'} the goal of {goal}")
    return 0 if is_within_goal else 1


if __name__ == "__main__":
    sys.exit(main())
