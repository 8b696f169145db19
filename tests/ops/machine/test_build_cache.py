"""Building once: one build for two commands, and what is left of a build that was cut."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine.build_cache import built_once, work_dir
from ops.machine.builds import build_all
from ops.report.terminal import Say
from tests.conftest import ROOT

STEPS = 40
COMPILER = """
import pathlib, sys, time
work, fresh = map(pathlib.Path, sys.argv[1:])
done = work / "steps"
done.touch()
for step in range(len(done.read_text().split()), {steps}):
    with done.open("a") as file:
        file.write(f"{{step}}\\n")
    time.sleep(0.1)
(work / "program").write_text("whole")
"""
"""Works in steps of 0.1 s and resumes where it was cut, as ninja does."""
COMMAND = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # A job in the background ignores it.
from tests.ops.machine.test_build_cache import built
built(Path(sys.argv[1]), print)
"""


def built(target: Path, say: Say) -> Path:
    """Build in steps; the result is whole or absent."""
    from ops.machine.build_run import run_build

    def build(fresh: Path) -> None:
        work = work_dir(target)
        command = [sys.executable, "-c", COMPILER.format(steps=STEPS), str(work), str(fresh)]
        run_build("it", command, log=work / "log", progress=str, say=say, env={})
        (fresh / "program").write_text((work / "program").read_text())
        (fresh / "steps").write_text((work / "steps").read_text())

    return built_once("it", target, ("program",), build, say=say)


def started(target: Path) -> subprocess.Popen[bytes]:
    """Start a command that builds, and return when it has done some steps."""
    command = subprocess.Popen(
        [sys.executable, "-u", "-c", COMMAND, str(target)], cwd=ROOT, stdout=subprocess.PIPE
    )
    steps = work_dir(target) / "steps"
    while not (steps.is_file() and len(steps.read_text().split()) > 3):
        assert command.poll() is None
        time.sleep(0.02)
    return command


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_cut_build_resumes_and_never_runs_twice_at_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    target = tmp_path / "programs" / "key"
    command = started(target)
    command.send_signal(number)
    command.communicate()
    assert not target.exists()
    lines: list[str] = []
    built(target, lines.append)
    # A compiler that outlives its command keeps the lock, so no step is done twice.
    assert (target / "steps").read_text().split() == [str(step) for step in range(STEPS)]
    assert (target / "program").read_text() == "whole"
    assert not work_dir(target).exists()


def test_a_build_of_another_recipe_starts_anew(tmp_path: Path) -> None:
    work = work_dir(tmp_path / "programs" / "old")
    work.mkdir(parents=True)
    (work / "steps").write_text("0\n1\n")
    target = built(tmp_path / "programs" / "new", print)
    assert (target / "steps").read_text().split()[0] == "0"
    assert len((target / "steps").read_text().split()) == STEPS


def test_a_full_disk_leaves_no_target(tmp_path: Path) -> None:
    def build(fresh: Path) -> None:
        (fresh / "server").write_text("half")
        Path("/dev/full").write_text("the rest")

    target = tmp_path / "programs" / "key"
    with pytest.raises(OpsError, match=r"the disk of .* is full .*so it was not built"):
        built_once("it", target, ("server",), build, say=print)
    assert not target.exists()
    assert not target.with_name("key.new").exists()


def test_two_commands_share_one_build(tmp_path: Path) -> None:
    target = tmp_path / "programs" / "key"
    building, finish = threading.Event(), threading.Event()
    builds: list[Path] = []

    def build(fresh: Path) -> None:
        builds.append(fresh)
        building.set()
        finish.wait(10)
        (fresh / "server").touch()

    def run(say: Say) -> None:
        built_once("it", target, ("server",), build, say=say)

    lines: list[str] = []
    first = threading.Thread(target=run, args=(print,))
    first.start()
    building.wait(10)
    second = threading.Thread(target=run, args=(lines.append,))
    second.start()
    while not lines:
        time.sleep(0.01)
    finish.set()
    first.join(10)
    second.join(10)
    assert lines == ["waiting for another command that builds it"]
    assert len(builds) == 1


def test_builds_run_at_once_and_the_first_failure_ends_all(tmp_path: Path) -> None:
    running = tmp_path / "programs" / "key"

    def fails(_say: Say) -> None:
        while not (work_dir(running) / "steps").is_file():
            time.sleep(0.01)
        raise OpsError("the compiler is broken")

    with pytest.raises(OpsError, match="the compiler is broken"):
        build_all((lambda say: built(running, say), fails), say=print)
    assert not running.exists()
    assert len((work_dir(running) / "steps").read_text().split()) < STEPS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_compiler_ends_with_its_command(tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "programs" / "key"
    command = started(target)
    command.send_signal(number)
    command.communicate()
    steps = (work_dir(target) / "steps").read_text()
    time.sleep(0.3)
    assert (work_dir(target) / "steps").read_text() == steps
