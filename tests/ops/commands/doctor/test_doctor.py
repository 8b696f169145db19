"""`doctor` says what this machine has, what is missing, and what would not work."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ops.cli import main
from ops.commands.doctor import built, programs, text
from ops.commands.doctor import run as doctor
from ops.commands.doctor.finding import JOBS, Finding, Job
from ops.commands.doctor.run import Examination
from ops.machine import llama_server
from ops.terraform.program import VARIABLE

COMPILER = Finding(
    name="C++ compiler",
    found="13.2.0",
    wanted="any",
    purpose="builds llama-server",
    needed_for=("make up", "make test"),
    without="Install g++ or clang++.",
)
KUBECTL = replace(COMPILER, name="kubectl", found="", needed_for=(), without="Pass --url.")
BROKEN = replace(COMPILER, found="", problem="/bin/c++ ends with 1; expected any")


def examination(*findings: Finding) -> Examination:
    return Examination(findings=findings, machine="2 cores", platform="Linux x86_64 known to work")


def shown_of(examined: Examination) -> str:
    output = StringIO()
    text.show(Console(width=120, file=output), examined)
    return output.getvalue()


def program(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def found(path: str, wanted: str = "") -> Finding:
    return programs.finding(
        "thing",
        (path, "--version"),
        wanted=wanted or "any",
        accepts=lambda version: version.startswith(wanted),
        purpose="does things",
        without="Get one.",
    )


@pytest.mark.parametrize(
    ("finding", "blocked"),
    [
        (COMPILER, ()),
        (replace(COMPILER, found=""), ("make up", "make test")),
        (BROKEN, ("make up", "make test")),
        (KUBECTL, ()),
    ],
)
def test_a_job_does_not_work_without_a_program_that_it_needs(
    finding: Finding, blocked: tuple[Job, ...]
) -> None:
    assert tuple(job for job in JOBS if examination(finding).blocking(job)) == blocked


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'c++ (Debian 12.2.0-14) 12.2.0'", "12.2.0"),
        ("echo 'version: 10524 (abc)' >&2", "10524"),
        ("echo 'version: 0 (abcd), built at unknown'", "of unknown version"),
        (":", "of unknown version"),
    ],
)
def test_the_version_is_the_first_one_that_a_program_prints(
    tmp_path: Path, script: str, version: str
) -> None:
    assert found(program(tmp_path, "thing", script)).found == version


def test_a_program_that_is_not_there_is_missing() -> None:
    finding = found("no-such-program")
    assert not finding.works
    assert finding.error == "thing is missing; expected any. Get one."


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("echo 2.1", "is 2.1"),
        ("exit 3", "ends with 3"),
        ("kill -SEGV $$", "ends with -11"),
    ],
)
def test_a_program_of_another_version_or_a_broken_one_does_not_count(
    tmp_path: Path, script: str, wrong: str
) -> None:
    path = program(tmp_path, "thing", script)
    finding = found(path, wanted="3")
    assert not finding.works
    assert finding.error == f"{path} {wrong}; expected thing 3. Get one."


def test_a_program_of_another_machine_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    path.chmod(0o755)
    assert f"{path} does not start (Exec format error)" in found(str(path)).error


def test_a_program_that_hangs_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_TIMEOUT_S", 0.2)
    finding = found(program(tmp_path, "slow", "exec sleep 60"))
    assert "does not answer within 0.2 s" in finding.error


def test_a_compiler_is_needed_only_where_llama_server_has_to_be_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not programs.compiler(()).needed_for
    assert programs.compiler(("make test",)).blocks("make test")


def test_a_refused_terraform_is_said_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = program(tmp_path, "terraform", """echo '{"terraform_version":"1.5.7"}'""")
    monkeypatch.setenv(VARIABLE, old)
    terraform, provider = built.for_a_deploy()
    assert all(terraform.blocks(job) for job in JOBS)
    assert f"{old} is OpenTofu 1.5.7; expected Terraform 1.11.x" in terraform.error
    assert not any(provider.blocks(job) for job in JOBS)


def test_a_llama_server_that_is_none_stops_what_runs_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(llama_server.VARIABLE, "no-such-program")
    finding = next(iter(built.for_this_machine()))
    assert "LLAMA_SERVER is 'no-such-program'" in finding.error
    assert [job for job in JOBS if finding.blocks(job)] == ["make up", "make test"]


def test_the_table_names_each_program_and_each_job() -> None:
    shown = shown_of(examination(BROKEN, KUBECTL))
    assert "make up   does not work: C++ compiler" in shown
    assert "deploy    works" in shown
    assert "C++ compiler: /bin/c++ ends with 1; expected any" in shown
    assert "kubectl: Pass --url." in shown


def test_what_is_there_needs_no_remedy() -> None:
    shown = shown_of(examination(COMPILER))
    assert "make up   works" in shown
    assert "missing" not in shown
    assert "does not work" not in shown


@pytest.mark.parametrize(("finding", "code"), [(COMPILER, 0), (KUBECTL, 0), (BROKEN, 1)])
def test_the_exit_code_tells_whether_everything_works(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    finding: Finding,
    code: int,
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: examination(finding))
    assert main(["doctor", "--json"]) == code
    output = capsys.readouterr()
    answer = json.loads(output.out)
    assert answer["works"] == {"make up": not code, "make test": not code, "deploy": True}
    assert output.err == (f"error: {BROKEN.problem}\n" if code else "")


def test_this_machine_has_what_the_suite_runs_with() -> None:
    findings = {finding.name: finding for finding in doctor.examine().findings}
    for name in ("Python", "make", "git", "Node"):
        assert findings[name].works, findings[name].error


@pytest.mark.parametrize(
    ("system", "processor", "known"),
    [
        ("Linux", "x86_64", "known to work"),
        ("Linux", "aarch64", "not tried"),
        ("Darwin", "arm64", "does not work"),
    ],
)
def test_what_is_known_of_a_platform_is_said(
    monkeypatch: pytest.MonkeyPatch, system: str, processor: str, known: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    assert doctor.platform_line().startswith(f"{system} {processor} {known}")
