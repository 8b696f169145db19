"""Processes that simulate cells, in LiteLLM's own environment."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from benchmarks.pools.cell import Cell, Seen, cell_line, read_seen
from llama_swap_config.gateway.litellm import ENVIRONMENT
from ops.errors import OpsError, one_line
from ops.machine.checkout import ROOT
from ops.machine.litellm import litellm
from ops.report.terminal import Say


def simulated(cells: Sequence[Cell], *, say: Say) -> Iterator[tuple[int, Seen]]:
    """Simulate cells, one at a time on each core.

    Args:
        cells: In any order.
        say: Receives a line for the operator.

    Yields:
        The index of each cell as soon as it is simulated, and what was seen in it.

    Raises:
        OpsError: when LiteLLM cannot be installed, or a simulator ends.
    """
    python = litellm(say).with_name("python")
    with ExitStack() as stack:
        count = min(os.cpu_count() or 1, len(cells))
        threads = ThreadPoolExecutor(count)
        # Registered before the processes, so that those are killed first and no thread reads on.
        stack.callback(threads.shutdown, cancel_futures=True)
        idle: SimpleQueue[_Simulator] = SimpleQueue()
        for _ in range(count):
            idle.put(stack.enter_context(_running(python)))
        asked = {threads.submit(_simulate, idle, cell): index for index, cell in enumerate(cells)}
        for done in as_completed(asked):
            yield asked[done], done.result()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulator:
    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]
    log: IO[str]


@contextmanager
def _running(python: Path) -> Iterator[_Simulator]:
    """Run a simulator while the context lasts."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            (python, "-m", "benchmarks.pools.simulate"),
            cwd=ROOT,
            # Not this process's own: LiteLLM obeys a hundred variables.
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                **ENVIRONMENT,
                "PYTHONHASHSEED": "0",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield _Simulator(process=process, stdin=process.stdin, stdout=process.stdout, log=log)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            # It may hold a cell that can no longer be sent.
            with suppress(BrokenPipeError):
                process.stdin.close()


def _simulate(idle: SimpleQueue[_Simulator], cell: Cell) -> Seen:
    simulator = idle.get()
    try:
        simulator.stdin.write(f"{cell_line(cell)}\n")
        simulator.stdin.flush()
        line = simulator.stdout.readline()
        if not line:
            raise BrokenPipeError
        return read_seen(line)
    except BrokenPipeError as error:
        simulator.process.wait()
        simulator.log.seek(0)
        last = simulator.log.read().strip().rpartition("\n")[2]
        raise OpsError(f"a simulation of {cell.pools} pools ended: {one_line(last)}") from error
    finally:
        # Also one that ended: a thread may wait for it.
        idle.put(simulator)
