"""`bench --window` against SIGKILL: whoever asks stops, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.commands.bench.answers import load, read_answers
from tests.conftest import ROOT
from tests.fakes.scoring_server import MODELS, ScoringServer
from tests.ops.commands.bench.photo_runs import (
    expected_scores,
    photo_folder,
    photo_questions,
    runs,
    scores,
)
from tests.ops.machine.marked_processes import WATCHER, Mark

_PHOTOS = 30

_WINDOW = """
import sys
from contextlib import nullcontext
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.sharing import ByWindow
from ops.commands.window import run as windows
from tests.fakes.lease_server import QUICK, TENANT, LeaseServer

tenants = (GpuTenant(namespace=TENANT.namespace, name=TENANT.name),)
api = LeaseServer()
api.replicas = {
    TENANT.workload.path: 1,
    "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap": 1,
}
windows.check = lambda *_arguments: None
windows.Opening.give_card = lambda _opening: None
try:
    sys.exit(
        windows.run(
            api,
            ByWindow(tenants=tenants),
            namespace="llama-cpp",
            resource="nvidia.com/gpu",
            access=windows.ImmichAccess(url=None, key=None),
            forward=lambda: nullcontext(sys.argv[1]),
            command=sys.argv[2:],
            for_s=600,
            wait_s=600,
            say=print,
            warn=print,
            timing=QUICK,
        )
    )
finally:
    print("replicas", *api.replicas.values(), flush=True)
"""
"""A window whose cluster has one tenant and no pods."""

_BENCH = """
import sys
from pathlib import Path
from ops.commands.bench import session

sys.executable, session.RUNS = sys.argv[1], Path(sys.argv[2])
from ops.cli import main
sys.exit(main(sys.argv[3:]))
"""


@dataclass(slots=True)
class Laptop:
    """Types one command again and again."""

    folder: Path
    server: ScoringServer
    mark: Mark = field(default_factory=Mark)

    def command(self) -> subprocess.Popen[bytes]:
        """Start `bench --window`; `ops window` of its interpreter needs no cluster."""
        (self.folder / "window.py").write_text(_WINDOW)
        python = self.folder / "python"
        python.write_text(
            f'#!/bin/sh\n[ "$3" != window ] || {{ shift 6; set -- {self.folder}/window.py '
            f'{self.server.url} "$@"; }}\nexec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)
        words = ("bench", self.folder / "photos", "--window", "10m", "--model", MODELS[0])
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _BENCH, python, self.folder / "bench-runs", *words],
                cwd=ROOT,
                env={
                    **os.environ,
                    **self.mark.environment,
                    "PYTHONPATH": str(ROOT),
                    "PYTHONUNBUFFERED": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def is_watched(self) -> bool:
        """Whether the window and its command run, each with its watcher."""
        return len(self.mark.processes(WATCHER)) == 2

    def answers(self) -> int:
        """The number of answers on disk."""
        folder = self.folder / "bench-runs"
        return sum(len(read_answers(run_dir)) for run_dir in folder.glob("*"))

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something."""
        deadline = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.01)


@pytest.mark.usefixtures("bench_apart")
@pytest.mark.parametrize("killed", ["bench", "window"])
def test_a_kill_ends_the_asking_and_the_same_command_goes_on(killed: str, tmp_path: Path) -> None:
    photo_folder(tmp_path / "photos", _PHOTOS)
    with ScoringServer(answer_s=0.2) as server:
        laptop = Laptop(tmp_path, server)
        moments: tuple[Callable[[], bool], ...] = (
            laptop.is_watched,  # Before anything is asked.
            lambda: laptop.answers() >= 1,
            lambda: laptop.answers() >= 12,
        )
        for moment in moments:
            process = laptop.command()
            laptop.until(moment)
            (window,) = laptop.mark.processes("window.py")
            os.kill(process.pid if killed == "bench" else window.pid, signal.SIGKILL)
            process.wait(60)
            laptop.until(lambda: not laptop.mark.processes())
            log = (tmp_path / "log").read_text()
            assert laptop.answers() < _PHOTOS, log
            assert killed == "window" or "replicas 1" in log
        process = laptop.command()
        assert process.wait(120) == 0, (tmp_path / "log").read_text()
        (run_dir,) = runs(tmp_path)
        run = load(run_dir)
        asked = photo_questions(server, [photo.image_sha256 for photo in run.photos])
    assert len(read_answers(run_dir)) == _PHOTOS
    assert scores(run) == pytest.approx(expected_scores(run), abs=0.001)
    # A kill may lose the question that is being answered; none that has an answer is repeated.
    assert sum(asked.values()) <= _PHOTOS + len(moments)
