"""Start servers that outlive the command, and stop exactly these."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ops.errors import OpsError

_MARK = "LLAMA_CPP_INFRA_SERVER"
"""Environment variable that identifies each server and its children."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The facts that identify a started process."""

    pid: int
    create_time: float
    """The kernel's start time, because process ids are reused."""


class Processes:
    """The servers of one state directory, each with a record and a log."""

    def __init__(self, state_dir: Path) -> None:
        """Manage the processes of a directory; nothing is started yet."""
        self._records = state_dir / "processes"
        self._logs = state_dir / "logs"

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> None:
        """Start a server in a session of its own, so that Ctrl-C does not reach it.

        Args:
            name: Name of the record and the log.
            command: The program's path and its arguments.
            env: Its environment (default: that of this process).

        Raises:
            OpsError: when the program cannot be started.
        """
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        marked = dict(os.environ if env is None else env) | {_MARK: self._mark(name)}
        try:
            # Not subprocess.Popen, which would track a child that is meant to outlive us.
            pid = os.posix_spawn(
                command[0],
                list(command),
                marked,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, self.log(name), write, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
            )
        except OSError as error:
            raise OpsError(f"{name} cannot be started ({error}): {command[0]}") from error
        record = Record(pid=pid, create_time=psutil.Process(pid).create_time())
        self._path(name).write_text(json.dumps(asdict(record)))

    def pid(self, name: str) -> int:
        """Return the id of the process of this name; 0 if there is none."""
        record = self._record(name)
        return 0 if record is None else record.pid

    def is_running(self, name: str) -> bool:
        """Whether the process of this name still runs."""
        return self._find(name) is not None

    def wait_for_answer(
        self, name: str, url: str, *, timeout_s: float, shown_as: str | None = None
    ) -> None:
        """Wait until a started server answers a GET request with success.

        Args:
            name: The name given to `start`.
            url: The address to ask.
            timeout_s: Seconds after which it is given up, but goes on running.
            shown_as: The server's name in a message (default: `name`).

        Raises:
            OpsError: when it ends or does not answer in time, naming its log.
        """
        shown, see = shown_as or name, f"see its log {self.log(name)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.is_running(name):
                raise OpsError(f"{shown} ended at start-up ({self.last_line(name)}); {see}")
            try:
                opener.open(url, timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise OpsError(f"{shown} does not answer after {timeout_s:.0f} s; {see}")

    def stop(self, name: str, *, timeout_s: float = 10) -> bool:
        """Stop the process of this name and its children, and delete the record.

        Another process that has reused the id is not stopped.

        Args:
            name: The name given to `start`.
            timeout_s: Seconds between SIGTERM and SIGKILL.

        Returns:
            Whether it was running.
        """
        process = self._find(name)
        if process is not None:
            try:
                process.terminate()
                process.wait(timeout=timeout_s)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout=timeout_s)
            except psutil.NoSuchProcess:
                pass
        orphans = self._marked(name)
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        psutil.wait_procs(orphans, timeout=timeout_s)
        self._path(name).unlink(missing_ok=True)
        return process is not None or bool(orphans)

    def names(self) -> tuple[str, ...]:
        """List the names with a record."""
        return tuple(sorted(path.stem for path in self._records.glob("*.json")))

    def log(self, name: str) -> Path:
        """Path of the log of this name."""
        return self._logs / f"{name}.log"

    def last_line(self, name: str) -> str:
        """Return the last line of the log, for an error message."""
        try:
            lines = self.log(name).read_text(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def _mark(self, name: str) -> str:
        return f"{self._records.resolve()}:{name}"

    def _marked(self, name: str) -> list[psutil.Process]:
        """Find all processes with this name's mark in their environment.

        They include the children of a killed server, and a server without a record because of a
        SIGKILL.
        """
        marked = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(_MARK) == self._mark(name):
                    marked.append(process)
        return marked

    def _path(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _record(self, name: str) -> Record | None:
        try:
            return Record(**json.loads(self._path(name).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _find(self, name: str) -> psutil.Process | None:
        record = self._record(name)
        try:
            process = None if record is None else psutil.Process(record.pid)
            if record is None or process is None:
                return None
            same = abs(process.create_time() - record.create_time) < 0.1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None
