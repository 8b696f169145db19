"""A fresh clone of the tree, and shells on a terminal in which its environment is active."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import psutil

from ops.machine.build_cache import CHECKOUT
from tests.conftest import ROOT

# An operator's shell has neither this environment nor what the tests set for Terraform.
_UNSET = ("CDKTF_OUTDIR", "CI", "PYTHONPATH", "TF_REATTACH_PROVIDERS", "VIRTUAL_ENV")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_TIMEOUT_S = 120
_LONGEST_S = 300


def clone(folder: Path) -> Path:
    """Copy the tracked files of the tree, and run `make install` with this environment's packages.

    Installing them again would take the network and ten seconds.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,  # ROOT links to its folders.
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    ours = Path(sys.executable).parent
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=folder, check=True
    )
    (site,) = folder.glob(".venv/lib/python*/site-packages")
    (packages,) = ours.parent.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
    (folder / ".venv/bin/node").symlink_to(ours / "node")
    (folder / ".venv/.installed").touch()
    subprocess.run(["make", "install"], cwd=folder, check=True, capture_output=True)
    return folder


class Shell:
    """A bash that runs lines as typed, on a terminal of its own."""

    def __init__(self, directory: Path, lines: str, environment: Mapping[str, str]) -> None:
        self._terminal, inside = os.openpty()
        termios.tcsetwinsize(inside, (40, 120))
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", lines],
            cwd=directory,
            env={**environment, "TERM": "xterm"},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inside)
        self._output = b""

    @property
    def text(self) -> str:
        """What was printed, without colours and movements of the cursor."""
        text = self._output.decode(errors="replace").replace("\r", "")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until(self, words: str) -> None:
        """Read until something was printed."""
        deadline = time.monotonic() + _TIMEOUT_S
        while words not in self.text:
            assert time.monotonic() < deadline, self.text[-3000:]
            if not self._read():
                assert words in self.text, self.text

    def until_keys_are_read(self) -> None:
        """Wait until the command reads single keys: before that, Enter is a line feed.

        A menu of cdktf takes a line feed for Ctrl-J, which moves to the next entry.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while termios.tcgetattr(self._terminal)[3] & termios.ICANON:
            assert time.monotonic() < deadline, self.text[-3000:]
            assert self._read(), self.text

    def end(self, answers: Mapping[str, str] = MappingProxyType({})) -> int:
        """Read to the end and return the exit code; negative if a signal ended the shell.

        Args:
            answers: What is typed once a question was printed.
        """
        left = dict(answers)
        deadline = time.monotonic() + _LONGEST_S
        while self._read():
            # A command may ask what no test answers, such as kubectl for a user's name.
            assert time.monotonic() < deadline, self.text[-3000:]
            for question in [question for question in left if question in self.text]:
                self.type(left.pop(question))
        return self.process.wait(timeout=_TIMEOUT_S)

    def close(self) -> None:
        """Close the terminal, as when its window is closed."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def started(self, name: str) -> psutil.Process:
        """Return the first process of this name; bash itself becomes the last command."""
        shell = psutil.Process(self.process.pid)
        started = (shell, *shell.children(recursive=True))
        return next(process for process in started if process.name() == name)

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], 0.1)[0]:
            return True
        try:
            read = os.read(self._terminal, 65536)
        except OSError:  # The last process that had the terminal has ended.
            return False
        self._output += read
        return bool(read)


@contextmanager
def shell(directory: Path, lines: str, **environment: str) -> Iterator[Shell]:
    """Run lines in a bash of an operator; kill what is left of it at the end.

    Args:
        directory: Where it starts.
        lines: What is typed.
        environment: Added to that of an operator's shell.
    """
    env = {name: value for name, value in os.environ.items() if name not in _UNSET}
    with ended(Shell(directory, lines, {**env, "PATH": _PATH, **environment})) as typed:
        yield typed


@contextmanager
def ended(shell: Shell) -> Iterator[Shell]:
    """Kill what is left of a shell at the end."""
    try:
        yield shell
    finally:
        shell.close()
        shell.process.kill()
        shell.process.wait()
