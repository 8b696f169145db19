"""Time `make up` from a fresh clone: `python -m benchmarks.up.measure`."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from ops.machine.checkout import ROOT
from ops.report.terminal import CONSOLE, titled_table

_COMPILERS = {"go": "the control plane", "ninja": "llama-server"}
_ENDS = (
    ("builds", r"PostgreSQL is ready|embedded cluster already runs"),
    ("start", r"deploying with "),
    ("deploy", r"the cluster runs no containers"),
)
"""Parts of `make up`, and the line of its output that ends each; the answers come last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the way to the first answers."""

    name: str
    wall_s: float
    cpu_s: float


@dataclass(slots=True, kw_only=True)
class Sampler:
    """The CPU seconds of a process and all that it started, sampled twice a second."""

    root: psutil.Process
    total_s: float = 0
    compilers: dict[tuple[str, int], float] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Sample until `done`."""
        while not self.done.wait(0.5):
            with suppress(psutil.Error):
                self._sample()

    def _sample(self) -> None:
        total = 0.0
        for process in (self.root, *self.root.children(recursive=True)):
            with suppress(psutil.Error):
                # Includes the children that ended; those that run are counted by themselves.
                seconds = sum(process.cpu_times()[:4])
                total += seconds
                if process.name() in _COMPILERS:
                    self.compilers[process.name(), process.pid] = seconds
        self.total_s = max(self.total_s, total)

    def of_compiler(self, name: str) -> float:
        """CPU seconds of all runs of a build program and its compilers."""
        return sum(seconds for (found, _pid), seconds in self.compilers.items() if found == name)


@contextmanager
def _started(
    command: Sequence[str], cwd: Path, env: dict[str, str]
) -> Iterator[tuple[IO[str], Sampler]]:
    """Run a command; yield its output and the sampler of its CPU seconds."""
    process = subprocess.Popen(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    sampler = Sampler(root=psutil.Process(process.pid))
    thread = threading.Thread(target=sampler.run)
    thread.start()
    try:
        yield process.stdout, sampler
        if process.wait():
            sys.exit(f"error: {' '.join(command)} failed; see above")
    finally:
        sampler.done.set()
        thread.join()


def run(
    command: Sequence[str],
    ends: Sequence[tuple[str, str]],
    last: str,
    *,
    cwd: Path,
    env: dict[str, str],
) -> tuple[list[Part], Sampler]:
    """Run a command and divide its time by lines of its output.

    Args:
        command: The command.
        ends: Name of a part and the pattern of the line that ends it.
        last: Name of the part after these.
        cwd: Working directory.
        env: Environment.
    """
    parts, waiting = [], list(ends)
    since, cpu_since = time.monotonic(), 0.0
    with _started(command, cwd, env) as (lines, sampler):
        for line in lines:
            print(f"    {line}", end="")
            if waiting and re.search(waiting[0][1], line):
                now, cpu = time.monotonic(), sampler.total_s
                name = waiting.pop(0)[0]
                parts.append(Part(name=name, wall_s=now - since, cpu_s=cpu - cpu_since))
                since, cpu_since = now, cpu
    wall_s, cpu_s = time.monotonic() - since, sampler.total_s - cpu_since
    return [*parts, Part(name=last, wall_s=wall_s, cpu_s=cpu_s)], sampler


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cached", action="store_true", help="use this machine's caches (default: empty ones)"
    )
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="bench-up-", ignore_cleanup_errors=True) as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        inherited = {name: value for name, value in os.environ.items()
                     if name not in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")}  # fmt: skip
        env = inherited | {"PYTHONUNBUFFERED": "1"}
        if not options.cached:
            env |= {
                "XDG_CACHE_HOME": f"{folder}/cache",
                "GOCACHE": f"{folder}/cache/go-build",
                "GOMODCACHE": f"{folder}/cache/go-mod",
                "UV_CACHE_DIR": f"{folder}/cache/uv",
                "PIP_CACHE_DIR": f"{folder}/cache/pip",
            }
        try:
            _measure(clone, env)
        finally:
            subprocess.run(["make", "down"], cwd=clone, env=env, check=False)
            # Go makes its modules read-only.
            subprocess.run(["chmod", "-R", "u+w", folder], check=False)


def _measure(clone: Path, env: dict[str, str]) -> None:
    install, _sampler = run(["make", "install"], (), "install", cwd=clone, env=env)
    rest, sampler = run(["make", "up"], _ENDS, "first answers", cwd=clone, env=env)
    again, _sampler = run(["make", "up"], (), "again", cwd=clone, env=env)
    table = titled_table(
        "Nothing to answers", "part", "wall s", "CPU s", right=("wall s", "CPU s")
    )
    parts = [*install, *rest]
    whole = Part(
        name="whole",
        wall_s=sum(part.wall_s for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
    )
    for part in (*parts, whole, *again):
        table.add_row(part.name, f"{part.wall_s:.1f}", f"{part.cpu_s:.1f}")
    CONSOLE.print(table)
    compilers_s = 0.0
    for name, build in _COMPILERS.items():
        seconds = sampler.of_compiler(name)
        compilers_s += seconds
        print(f"{name} and its compilers, for {build}: {seconds:.0f} CPU s")
    limit_s = compilers_s / (os.cpu_count() or 1)
    if limit_s > 1:
        print(f"the limit: {limit_s:.0f} s, the compilers' seconds divided by the cores")
        print(f"whole against the limit: {whole.wall_s / limit_s:.2f}")


if __name__ == "__main__":
    main()
