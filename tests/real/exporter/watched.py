"""A real front end with tiny models, the exporter beside it, and how a test reads both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from in_pod.exporter.contract import METRICS_PATH, STATE_PATH
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from ops.commands.serve.run import Served
from ops.machine.ports import free_ports
from tests.conftest import ROOT
from tests.in_pod.exporter.exposition import Samples, parse

PREDICTED_MIB = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An exporter that runs."""

    url: str
    process: psutil.Process

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
            time.sleep(0.1)
        return samples


def write_plan(
    path: Path, models: tuple[Model, ...], front_end: FrontEndName, vram_mib: float = PREDICTED_MIB
) -> Path:
    """Write a plan as the stack renders it, with the same VRAM for each model."""
    document = {
        "version": 1,
        "front_end": front_end,
        "engine_build": 11434,
        "config_sha256": "0" * 64,
        "models": [
            {"id": model.id, "aliases": list(model.aliases), "vram_mib": vram_mib}
            for model in models
        ],
    }
    path.write_text(json.dumps(document))
    return path


@contextmanager
def exporter(
    plan: Path, url: str, *, args: tuple[str, ...] = ("--no-cluster",)
) -> Iterator[Watched]:
    """Run the exporter as its pod does, until the context ends."""
    port = free_ports(1)
    command = [
        *(sys.executable, "-m", "in_pod.exporter", "--url", url, "--plan", str(plan)),
        *("--host", "127.0.0.1", "--port", str(port)),
        *args,
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("listening on ")
            yield Watched(url=f"http://127.0.0.1:{port}", process=psutil.Process(process.pid))
        finally:
            process.terminate()
        assert process.wait(10) == 0


@contextmanager
def watched(served: Served, models: tuple[Model, ...], folder: Path) -> Iterator[Watched]:
    """Watch a served front end; it is followed when the context begins."""
    plan = write_plan(folder / "exporter-plan.json", models, served.front_end)
    with exporter(plan, served.url) as running:
        running.wait_for(lambda samples: samples.value("llama_swap_up") == 1)
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client that measures its own requests."""

    url: str

    def ask(
        self, model: str, *, tokens: int = 8, timeout_s: float = 120, **more: Any
    ) -> tuple[int, float]:
        """Return status and seconds of a chat; status 0 if the client gave up."""
        body = {
            "model": model,
            "max_tokens": tokens,
            "messages": [{"role": "user", "content": "ba"}],
        }
        started = time.perf_counter()
        try:
            answer = httpx2.post(
                f"{self.url}/v1/chat/completions",
                json=body | more,
                timeout=timeout_s,
                trust_env=False,
            )
            status = answer.status_code
        except httpx2.TimeoutException:
            status = 0
        return status, time.perf_counter() - started
