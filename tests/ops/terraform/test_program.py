"""Finding Terraform or OpenTofu, and refusing what would break a deploy, in one line each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.cluster import environment
from ops.errors import OpsError
from ops.machine import opentofu
from ops.machine.checkout import TOOLS
from ops.terraform.program import PRODUCTS, VARIABLE, Tool, find, survey

Install = Callable[..., Path]


def answer(tool: Tool, version: str) -> str:
    """What `version -json` prints: Terraform 1.11.4 and OpenTofu 1.11.14 have these keys."""
    said = {"terraform_version": version, "platform": "linux_amd64", "provider_selections": {}}
    return json.dumps(said | ({"terraform_outdated": False} if tool == "terraform" else {}))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without either, and with an empty cache."""
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in ("TF_WORKSPACE", "PG_TABLE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Write a program that prints a text, by default the answer of its name's tool."""

    def write(name: str, version: str = "", *, script: str = "", mode: int = 0o755) -> Path:
        tool: Tool = "tofu" if "tofu" in name else "terraform"
        path = tmp_path / "bin" / name
        path.write_text(script or f"#!/bin/sh\necho '{answer(tool, version)}'\n")
        path.chmod(mode)
        return path

    return write


def refusal() -> str:
    """The one line with which every command ends."""
    with pytest.raises(OpsError) as caught:
        find(print)
    line = str(caught.value)
    assert "\n" not in line
    assert survey().refusal == line
    assert survey().program is None
    return line


@pytest.mark.parametrize(
    ("tool", "version"),
    [
        ("terraform", "1.11.0"),
        ("terraform", "1.11.4"),
        ("tofu", "1.10.0"),
        ("tofu", "1.11.14"),
    ],
)
def test_accepted_versions(install: Install, tool: Tool, version: str) -> None:
    path = install(tool, version)
    program = find(None)
    assert (program.path, program.tool, program.version) == (path, tool, version)
    assert program.command == tool
    assert survey().version == f"{PRODUCTS[tool]} {version}"


@pytest.mark.parametrize(
    ("tool", "version"),
    [
        ("terraform", "1.5.7"),
        ("terraform", "1.10.5"),
        ("terraform", "1.12.0"),
        ("terraform", "2.0.0"),
        ("tofu", "1.6.2"),
        ("tofu", "1.9.4"),
        ("tofu", "1.12.6"),
    ],
)
def test_refused_versions(install: Install, tool: Tool, version: str) -> None:
    path = install(tool, version)
    line = refusal()
    assert f"{path} is {PRODUCTS[tool]} {version}; expected Terraform 1.11.x or OpenTofu" in line
    assert f"Name another in {VARIABLE}, or take it off PATH" in line


def test_terraform_on_path_comes_before_tofu(install: Install) -> None:
    tofu, terraform = install("tofu", "1.11.14"), install("terraform", "1.11.4")
    assert find(None).path == terraform
    terraform.unlink()
    assert find(None).path == tofu


def test_the_variable_names_a_program_by_name_or_path(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("terraform", "1.11.4")
    tofu, other = install("tofu", "1.11.14"), install("my-tofu", "1.10.6")
    monkeypatch.setenv(VARIABLE, "tofu")
    assert find(None).path == tofu
    monkeypatch.setenv(VARIABLE, str(other))
    # A name does not tell the tool; the program's answer does.
    assert (find(None).tool, find(None).command) == ("tofu", str(other))


@pytest.mark.parametrize("value", ["/nowhere/terraform", "/etc/passwd", "no-such-program"])
def test_a_variable_that_names_no_program(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    line = refusal()
    assert line.startswith(f"{VARIABLE} is {value!r}; expected an executable program")
    assert "unset it" in line


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/nowhere/sh\n", "does not start (No such file or directory)"),
        ("\x7fELF", "does not start (Exec format error)"),
        ("#!/bin/sh\necho no such flag >&2\nexit 3\n", "ended with 3 (no such flag)"),
        ("#!/bin/sh\nkill -SEGV $$\n", "ended with -11 (no output)"),
        ("#!/bin/sh\necho Hello\n", "printed 'Hello', which is not a version"),
        ("#!/bin/sh\necho '[]'\n", "printed '[]', which is not a version"),
        ("#!/bin/sh\n", "printed '', which is not a version"),
        (
            '#!/bin/sh\necho \'{"terraform_version": "new"}\'\n',
            "which is not a version",
        ),
    ],
)
def test_a_broken_program(install: Install, script: str, reason: str) -> None:
    path = install("terraform", script=script)
    line = refusal()
    assert reason in line
    assert str(path) in line
    assert "expected Terraform 1.11.x or OpenTofu" in line


def test_a_file_that_is_not_executable_is_not_found(install: Install) -> None:
    install("terraform", "1.11.4", mode=0o644)
    tofu = install("tofu", "1.11.14")
    assert find(None).path == tofu


def test_without_either_a_command_that_must_not_build_says_what_to_do() -> None:
    assert survey().path is None
    assert survey().refusal == ""
    with pytest.raises(OpsError, match="neither terraform nor tofu") as caught:
        find(None)
    assert "`python -m ops up` build OpenTofu" in str(caught.value)


def test_without_either_opentofu_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[Path] = []

    def go_install(_name: str, module: Path, into: Path, **_options: object) -> None:
        builds.append(module)
        program = into / "tofu"
        program.write_text(f"#!/bin/sh\necho '{answer('tofu', '1.11.14')}'\n")
        program.chmod(0o755)

    monkeypatch.setattr(opentofu, "go_install", go_install)
    lines: list[str] = []
    program = find(lines.append)
    assert program.product == "OpenTofu"
    # No PATH finds it, so a command to type has to name its path.
    assert program.command == str(program.path)
    assert any("once for all checkouts" in line for line in lines)
    assert find(None).path == program.path
    assert builds == [TOOLS / "opentofu"]


def test_the_version_that_is_built_is_accepted(install: Install) -> None:
    module = (TOOLS / "opentofu" / "go.mod").read_text()
    (version,) = re.findall(r"github\.com/opentofu/opentofu v(\S+)", module)
    install("tofu", version)
    assert find(None).version == version


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("TF_WORKSPACE", "other", "TF_WORKSPACE is 'other'; expected the workspace default"),
        ("PG_TABLE_NAME", "other", "PG_TABLE_NAME is 'other'; expected the table states"),
    ],
)
def test_a_variable_that_selects_another_state(
    install: Install, monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    install("tofu", "1.11.14")
    monkeypatch.setenv(name, value)
    with pytest.raises(OpsError) as caught:
        environment.check_terraform(None)
    assert line in str(caught.value)
