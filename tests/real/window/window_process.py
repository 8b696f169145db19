"""A window or its restore in its own process, which can kill itself at a chosen write."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

from in_pod.gpu_window.errors import WindowError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.restore import restore_past_deadline
from in_pod.gpu_window.timing import Timing
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Say
from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.window import run as windows
from ops.commands.window.opening import declared
from ops.errors import OpsError
from tests.fakes.forked_program import CONTEXT
from tests.fakes.immich_queues import KEY

NAMESPACE = "llama-cpp"
ML = ("immich", "immich-machine-learning")
URL = "http://127.0.0.1:1"
WHILE_OPEN = ("sh", "-c", "while [ $PPID != 1 ] && kill -0 $PPID 2>/dev/null; do sleep 0.05; done")
"""A command that ends with its window, even if the window is killed before the shell starts."""

FAST = Timing(poll_s=0.03, renew_s=3600)
"""Heartbeats only before a change, so that all runs make the same writes."""
Mode = Literal["window", "restore", "cronjob"]


def settings(
    url: str | None,
    *,
    tenants_in: str = ML[0],
    deployment: str = ML[1],
    stateful_set: str | None = None,
) -> ByWindow:
    queues = None if url is None else ImmichQueues(url=url)
    tenants = [GpuTenant(namespace=tenants_in, name=deployment, queues=queues)]
    if stateful_set is not None:
        tenants.append(GpuTenant(namespace=tenants_in, kind="StatefulSet", name=stateful_set))
    return ByWindow(tenants=tuple(tenants))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    target: KubeTarget
    log: Path
    mode: Mode = "window"
    immich_url: str | None = None
    key: str | None = KEY
    command: tuple[str, ...] = ("true",)
    for_s: float = 60
    wait_s: float = 60
    timing: Timing = FAST
    kill_at: int | None = None
    """The write at which the process kills itself, counted from 1; None: never."""
    kill_after: bool = False
    """Whether it kills itself after the answer to the write; False: before sending it."""
    namespace: str = NAMESPACE
    """The endpoint's."""
    pool: str | None = None
    tenants_in: str = ML[0]
    deployment: str = ML[1]
    stateful_set: str | None = None
    """A second tenant."""
    time_is_up: Path | None = None
    """A file; once it exists, the API server's clock is a day ahead."""

    def start(self) -> ForkServerProcess:
        self.log.write_text("")
        process = CONTEXT.Process(target=_main, args=(self,))
        process.start()
        return process

    def output(self) -> str:
        return self.log.read_text()

    def end(self, process: ForkServerProcess) -> int:
        """End it as a closing shell does, and wait until it has restored everything."""
        process.terminate()
        return self._joined(process)

    def finish(self) -> tuple[int, str]:
        """Run to the end; return the exit code (-9 after a kill) and the output."""
        code = self._joined(self.start())
        return code, self.output()

    def _joined(self, process: ForkServerProcess) -> int:
        process.join(90)
        assert process.exitcode is not None, self.output()
        code = process.exitcode
        process.close()
        return code


class _Killer:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.writes = 0

    def ask(self, ask: Any, method: str, *arguments: Any) -> Any:
        if method == "GET":
            return ask(method, *arguments)
        self.writes += 1
        is_now = self.writes == self.run.kill_at
        if is_now and not self.run.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = ask(method, *arguments)
        if is_now:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


class _KillingApi:
    def __init__(self, api: KubeApi, killer: _Killer) -> None:
        self._api, self._killer = api, killer

    def now(self) -> float:
        file = self._killer.run.time_is_up
        return self._api.now() + (24 * 3600 if file is not None and file.exists() else 0)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer: tuple[int, Any] = self._killer.ask(self._api.request, method, path, body)
        return answer


def _main(run: Run) -> None:
    killer = _Killer(run)
    with run.log.open("w", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        # A process that hangs prints where, before `finish` and `end` time out.
        faulthandler.dump_traceback_later(80, file=log)

        def say(line: str) -> None:
            print(line, file=log)

        asks = Immich._ask

        def ask(immich: Immich, method: str, path: str, body: Any) -> Any:
            return killer.ask(lambda *request: asks(immich, *request), method, path, body)

        Immich._ask = ask  # type: ignore[method-assign,assignment]
        access = windows.ImmichAccess(url=None, key=run.key)
        code = 0
        with KubeApi(run.target) as connected:
            api = _KillingApi(connected, killer)
            try:
                if run.mode == "window":
                    code = windows.run(
                        api,
                        settings(
                            run.immich_url,
                            tenants_in=run.tenants_in,
                            deployment=run.deployment,
                            stateful_set=run.stateful_set,
                        ),
                        namespace=run.namespace,
                        resource="nvidia.com/gpu",
                        access=access,
                        forward=lambda: nullcontext(URL),
                        command=run.command,
                        for_s=run.for_s,
                        wait_s=run.wait_s,
                        say=say,
                        warn=say,
                        timing=run.timing,
                        pool=run.pool,
                    )
                elif run.mode == "restore":
                    windows.restore_only(
                        api,
                        settings(run.immich_url, tenants_in=run.tenants_in),
                        namespace=run.namespace,
                        access=access,
                        say=say,
                        timing=run.timing,
                    )
                else:
                    code = _cronjob(run, api, say)
            except (OpsError, WindowError) as error:
                say(f"error: {error}")
                code = 1
        say(f"writes: {killer.writes}")
    sys.exit(code)


def _cronjob(run: Run, api: Any, say: Say) -> int:
    immich = None
    if run.immich_url and run.key:
        immich = Immich(run.immich_url, run.key, say=say, timing=run.timing)
    window = Window(api, namespace=NAMESPACE, say=say, timing=run.timing)
    remains = restore_past_deadline(
        window, immich, declared(settings(run.immich_url)), who="cronjob@pod"
    )
    for line in remains:
        say(f"error: {line}")
    return len(remains)
