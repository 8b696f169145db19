"""Look for programs on PATH, for the Node of this checkout, and for cdktf-cli."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from llama_swap_config.front_ends import FRONT_ENDS
from ops.commands.doctor.finding import JOBS, LOCAL_JOBS, Finding, Job
from ops.machine import llama_build
from ops.machine.checkout import TOOLS
from ops.machine.node import packages_installed

_TIMEOUT_S = 10
_NODE = "22"


def finding(
    name: str,
    command: tuple[str, ...],
    *,
    purpose: str,
    without: str,
    wanted: str = "any",
    accepts: Callable[[str], bool] = bool,
    needed_for: tuple[Job, ...] = (),
) -> Finding:
    """Run a program for its version.

    Args:
        name: The program in the table.
        command: The program and the arguments with which it prints its version.
        purpose: What the repository uses it for.
        without: Where it comes from, or what happens without it.
        wanted: The versions that are accepted, in words.
        accepts: Whether a version is one of them.
        needed_for: The jobs that do not work without it.
    """
    path = shutil.which(command[0])
    version, wrong = ("", "") if path is None else _version((path, *command[1:]))
    if path is not None and not wrong and not accepts(version):
        wrong = f"is {version}"
    problem = f"{path} {wrong}; expected {name} {wanted}. {without}" if wrong else ""
    return Finding(
        name=name,
        found=version,
        problem=problem,
        wanted=wanted,
        purpose=purpose,
        needed_for=needed_for,
        without=without,
    )


def _version(command: tuple[str, ...]) -> tuple[str, str]:
    """The first version that a program prints, and what is wrong with the program."""
    try:
        ended = subprocess.run(
            command,
            # Some kubectl ask the current context's cluster which version they should be.
            env=os.environ | {"KUBECONFIG": os.devnull},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
        )
    except OSError as error:
        return "", f"does not start ({error.strerror or error})"
    except subprocess.TimeoutExpired:
        return "", f"does not answer within {_TIMEOUT_S} s"
    if ended.returncode:
        return "", f"ends with {ended.returncode}"
    number = re.search(r"\d+(?:\.\d+)+|(?<=version: )[1-9]\d*", ended.stdout + ended.stderr)
    return (number[0] if number else "of unknown version"), ""


def necessary() -> Iterator[Finding]:
    """The programs that have to be there before `make install`, or that it installs."""
    yield finding(
        "Python",
        (sys.executable, "--version"),
        wanted="3.11 or later",
        purpose="runs everything",
        needed_for=JOBS,
        without="Install it and set PYTHON=.",
    )
    yield finding(
        "make",
        ("make", "--version"),
        purpose="runs the Makefile's targets",
        needed_for=LOCAL_JOBS,
        without="Install make.",
    )
    yield finding(
        "git",
        ("git", "--version"),
        purpose="reads the base of `ops plan`",
        needed_for=("make test",),
        without="Install git.",
    )
    yield finding(
        "Node",
        (str(Path(sys.executable).parent / "node"), "--version"),
        wanted=_NODE,
        accepts=lambda version: version.startswith(f"{_NODE}."),
        purpose="runs jsii, for CDKTF",
        needed_for=JOBS,
        without="`make install` gets it from PyPI.",
    )


def compiler(needed_for: tuple[Job, ...]) -> Finding:
    """The C++ compiler.

    Args:
        needed_for: The jobs for which llama-server has yet to be built.
    """
    return finding(
        "C++ compiler",
        (llama_build.compiler(), "--version"),
        purpose="builds llama-server",
        needed_for=needed_for,
        without="Install g++ or clang++"
        + ("." if needed_for else " before another llama-server has to be built."),
    )


def cdktf() -> Finding:
    """The cdktf-cli that `cdktf` runs."""
    package = json.loads((TOOLS / "package.json").read_text(encoding="utf-8"))
    wanted = package["dependencies"]["cdktf-cli"]
    return Finding(
        name="cdktf-cli",
        found=wanted if packages_installed() else "",
        wanted=wanted,
        purpose="`cdktf deploy` by hand",
        without="The first `cdktf` installs it.",
    )


def optional() -> Iterator[Finding]:
    """The programs without which something is left out."""
    llama_swap = FRONT_ENDS["llama-swap"]
    yield finding(
        llama_swap.name,
        (llama_swap.on_path, "--version"),
        purpose="production's front end",
        without="`make up` and `ops serve` use llama-server's own router; its tests are skipped.",
    )
    yield finding(
        "kubectl",
        ("kubectl", "version", "--client"),
        purpose="reaches the endpoint in a cluster",
        without="`smoke`, `bench` and `drift` need --url; its tests are skipped.",
    )
    yield finding(
        "curl",
        ("curl", "--version"),
        purpose="tests what `make up` prints",
        without="Its tests are skipped.",
    )
    browser = next(filter(shutil.which, ("chromium", "google-chrome")), "chromium")
    yield finding(
        "Chromium",
        (browser, "--version"),
        purpose="tests the photo report",
        without="Its tests are skipped.",
    )
    for name in ("aria2c", "vmtouch"):
        yield finding(
            name,
            (name, "--version"),
            purpose="a peer in the benchmarks",
            without="`make bench-download` and `make bench-warm` leave its row out.",
        )
