"""Time the unload of a model in the middle of a stream.

llama-server hangs at its first SIGTERM while a request is in flight. This repository renders
`cmdStop` for llama-swap and `stop-timeout` for the router against that; each is compared with the
same configuration without the setting.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.swap.arms import FrontEndArm, front_end, uninterrupted
from benchmarks.swap.ask import LONG_TOKENS, Answer
from benchmarks.swap.scenarios import Step
from benchmarks.swap.tiny_store import MODELS
from benchmarks.swap.watch import PERIOD_S, is_healthy, llama_servers
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import available
from ops.endpoint.api_key import authorization
from ops.machine.processes import Processes

SETTINGS: Mapping[FrontEndName, str] = {"llama-swap": "cmdStop", "llama-server": "stop-timeout"}
"""Front end -> the setting that is removed from its configuration."""
_CONFIG_FLAGS = ("-config", "--models-preset")
_LIMIT_S = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Unloads:
    """Seconds from the call until the process is gone, each time."""

    ours_s: list[float]
    plain_s: list[float]
    """Without the setting: one SIGTERM."""


def unloads(
    store: LocalStore, folder: Path, count: int, step: Step
) -> dict[FrontEndName, Unloads]:
    """Unload in the middle of a stream, with the setting and without, in turn."""
    by_front_end: dict[FrontEndName, Unloads] = {}
    for name in available():
        times = by_front_end[name] = Unloads(ours_s=[], plain_s=[])
        with ExitStack() as stack:
            ours = stack.enter_context(front_end(name, store, folder / name / "ours"))
            plain = stack.enter_context(_without(SETTINGS[name], name, store, folder / name))
            for _ in range(count):
                for arm, into in ((ours, times.ours_s), (plain, times.plain_s)):
                    into.append(_unload(arm))
                    what = "with" if arm is ours else "without"
                    step(f"{arm.name}: unload {what} {SETTINGS[name]}")
    return by_front_end


def _unload(arm: FrontEndArm) -> float:
    with Answer(arm.port, MODELS[0], max_tokens=LONG_TOKENS) as answer:
        answer.first_token()
        time.sleep(0.2)
        thread = threading.Thread(target=_call, args=(arm,), daemon=True)
        started = time.monotonic()
        thread.start()
        while llama_servers(arm.served.pid) and time.monotonic() - started < _LIMIT_S:
            time.sleep(PERIOD_S)
        gone_s = time.monotonic() - started
    thread.join()
    return gone_s


def _call(arm: FrontEndArm) -> None:
    path, body = FRONT_ENDS[arm.served.front_end].unload(MODELS[0])
    connection = http.client.HTTPConnection("127.0.0.1", arm.port, timeout=60)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        headers = {"Content-Type": "application/json", **authorization()}
        connection.request("POST", path, json.dumps(body), headers)
        connection.getresponse().read()


@contextmanager
def _without(
    setting: str, name: FrontEndName, store: LocalStore, folder: Path
) -> Iterator[FrontEndArm]:
    """Run a front end whose configuration lacks the lines of one setting."""
    with front_end(name, store, folder / "plain") as arm:
        process = psutil.Process(arm.served.pid)
        command, env = process.cmdline(), process.environ()
    config = next(
        Path(value) for flag, value in pairwise(command)
        if flag in _CONFIG_FLAGS
    )  # fmt: skip
    text, count = re.subn(rf"(?m)^\s*{setting}\s*[:=].*\n", "", config.read_text())
    if not count:
        raise RuntimeError(f"{config} has no line of {setting} to remove")
    config.write_text(text)
    processes = Processes(folder / "without")
    try:
        processes.start("front-end", command, env=env)
        served = replace(arm.served, pid=processes.pid("front-end"))
        _wait(arm.port)
        yield FrontEndArm(served)
    finally:
        with uninterrupted():
            processes.stop("front-end", timeout_s=_LIMIT_S)


def _wait(port: int) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not is_healthy(port):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no front end answers on port {port}")
        time.sleep(0.02)
