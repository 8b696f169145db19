"""The arms: llama-swap, llama-server's own router, and a bare llama-server as the limit."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from unittest import mock

from benchmarks.swap.ask import Answer
from benchmarks.swap.watch import PARTS, PERIOD_S, Swap, Watch, is_healthy, swap_of
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.server_command import (
    ENVIRONMENT,
    ServerSettings,
    model_options,
    shared_options,
)
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import Served
from ops.machine.llama_server import llama_server
from ops.machine.ports import free_ports

NAMES: dict[FrontEndName, str] = {"llama-swap": "llama-swap", "llama-server": "router"}
LIMIT = "limit"
LACKING = "llama-swap is not on PATH (no package registry has it)"
_START_TIMEOUT_S = 60
_ONE_THREAD = {"LLAMA_ARG_THREADS": "1"}  # As ops.commands.serve.run starts tiny models.


class Arm(Protocol):
    """One way to swap models."""

    @property
    def name(self) -> str:
        """Its name in a table."""

    def swap(self, model: str) -> Swap:
        """Ask a model that is not loaded, and time the parts of the swap."""


@dataclass(frozen=True, slots=True)
class FrontEndArm:
    """A running front end."""

    served: Served

    @property
    def name(self) -> str:
        """Its name in a table."""
        return NAMES[self.served.front_end]

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return int(self.served.url.rpartition(":")[2])

    def load(self, model: str) -> None:
        """Load a model and leave it idle."""
        with Answer(self.port, model) as answer:
            answer.first_token()
            answer.rest()

    def swap(self, model: str) -> Swap:
        """Ask a model that is not loaded, and time the parts of the swap."""
        with Answer(self.port, model) as answer:
            with Watch(self.served.pid) as watch:
                started = time.monotonic()
                first_token = answer.first_token()
            answer.rest()
        return swap_of(started, {**watch.moments, PARTS[-1]: first_token}, watch.gaps_s)


class LimitArm:
    """Kills one llama-server and starts the next, with a front end's arguments."""

    name = LIMIT

    def __init__(self, store: LocalStore, env: Mapping[str, str]) -> None:
        """Start nothing yet."""
        binary = str(llama_server(print))
        self._env = {**os.environ, **ENVIRONMENT, **_ONE_THREAD, **env}
        self._process: subprocess.Popen[bytes] | None = None
        shared = shared_options(ServerSettings(device=None))
        self._commands = {}
        for locked in store.models:
            name = locked.model.id
            own = model_options(
                locked.model,
                weights=locked.weights_link,
                folder=f"{store.volume}/{name}/",
                alias=name,
            )
            words = [word for option in (*shared, *own) for word in option if word is not None]
            self._commands[name] = [binary, "--host", "127.0.0.1", *words]

    def swap(self, model: str) -> Swap:
        """Kill the running server, start the other one, and ask it as soon as it is healthy."""
        moments: dict[str, float] = {}
        gaps_s: list[float] = []
        port = free_ports()
        command = [*self._commands[model], "--port", str(port)]
        started = time.monotonic()
        self.stop()
        moments[PARTS[0]] = time.monotonic()
        self._process = subprocess.Popen(
            command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = moments[PARTS[1]] = time.monotonic()
        while not is_healthy(port):
            if self._process.poll() is not None or before - started > _START_TIMEOUT_S:
                raise RuntimeError(f"llama-server did not start: {' '.join(command)}")
            time.sleep(PERIOD_S)
            gaps_s.append(time.monotonic() - before)
            before = time.monotonic()
        moments[PARTS[2]] = time.monotonic()
        with Answer(port, model) as answer:
            moments[PARTS[3]] = answer.first_token()
            answer.rest()
        return swap_of(started, moments, gaps_s)

    def stop(self) -> None:
        """Kill the running server; its memory is free when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def front_end(
    name: FrontEndName, store: LocalStore, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[FrontEndArm]:
    """Run a front end in a folder of its own while the context lasts."""
    try:
        with mock.patch.dict(os.environ, env or {}):
            served = serve.start(store, folder, front_end=name, port=None, say=lambda _line: None)
        yield FrontEndArm(served)
    finally:
        with uninterrupted():
            serve.stop(folder)


@contextmanager
def limit(store: LocalStore, env: Mapping[str, str] | None = None) -> Iterator[LimitArm]:
    """Run bare llama-servers while the context lasts."""
    arm = LimitArm(store, env or {})
    try:
        yield arm
    finally:
        with uninterrupted():
            arm.stop()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay signals until all processes have ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in ends
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
