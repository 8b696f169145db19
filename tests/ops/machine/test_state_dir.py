"""The lock of a state directory."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import state_dir
from ops.machine.state_dir import locked

HOLD = "import sys, time; print('holds', flush=True); time.sleep(float(sys.argv[1]))"


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a process that has inherited the lock of a command, which is gone."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(seconds)],
            pass_fds=(lock.fileno(),),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "holds\n"
    return child


def test_a_lock_that_a_killed_command_left_briefly_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_dir, "_PATIENCE_S", 60)
    with hold(tmp_path, 0.3) as child, locked(tmp_path):
        assert child.wait() == 0


def test_a_locked_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_dir, "_PATIENCE_S", 0.1)
    with hold(tmp_path, 60) as child:
        with pytest.raises(OpsError, match="another command uses"), locked(tmp_path):
            pass
        child.kill()
