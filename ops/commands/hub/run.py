"""Serve tiny files of the registry's models, and run a command that takes them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llama_swap_config.lock.stand_in import STAND_IN_COMMIT
from llama_swap_config.model import Model
from ops.commands.hub.tiny_files import write_tiny_files
from ops.errors import OpsError, reason_of
from ops.hub.local_hub import HubHandler, LocalHub
from ops.machine.parent import ended_with_this
from ops.machine.ports import usable_port


class _OneCommit(HubHandler):
    """Has one commit, so that no entry of a lock takes its files for those of a real commit."""

    def commit_of(self, revision: str) -> str:
        return self.server.commit


@contextmanager
def tiny_hub(models: Iterable[Model], port: int | None = None) -> Iterator[LocalHub]:
    """Serve tiny files of the models while the context lasts.

    Args:
        models: The registry.
        port: Port on 127.0.0.1 (default: a free one).

    Raises:
        OpsError: when the port is not available.
    """
    listen_port = usable_port(port)
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        files = write_tiny_files(models, Path(folder))
        with LocalHub(files, _OneCommit, port=listen_port) as hub:
            hub.commit = STAND_IN_COMMIT
            yield hub


def run_command(hub: LocalHub, command: Sequence[str]) -> int:
    """Run a command with HF_ENDPOINT set to the hub's address.

    Returns:
        Its exit code; 128 plus the signal that ended it.

    Raises:
        OpsError: when it cannot be started.
    """
    try:
        process = subprocess.Popen(command, env=hub.environment())
    except OSError as error:
        raise OpsError(f"{command[0]} cannot be started ({reason_of(error)})") from error
    try:
        with ended_with_this(process.pid):
            code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return code if code >= 0 else 128 - code
