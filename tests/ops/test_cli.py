"""Each mistake on the command line is one line on stderr with an exit code."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ops.cli import COMMANDS, load, main
from ops.cluster import environment
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.declaration.resources import RESOURCES
from tests.fakes.api_server import kubeconfig

TERRAFORM = """#!/bin/sh
echo '{{"terraform_version": "{version}", "terraform_outdated": false}}'
"""


@pytest.fixture(autouse=True)
def operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without settings, and a Terraform that only prints its version 1.11.4."""
    for name in ("PG_CONN_STR", "PGHOST", "PGPASSWORD", "KUBE_CONFIG_PATH", "KUBE_CTX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("TERRAFORM_BINARY_NAME", raising=False)
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "terraform", TERRAFORM.format(version="1.11.4"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """Run a command that has to fail, and return its one line."""
    assert main(list(arguments)) == code
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


@pytest.fixture
def postgresql_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "check_postgresql", lambda: None)


def test_no_pg_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert "PG_CONN_STR is not set" in fails(capsys, "plan", "--refresh")


def test_a_password_in_the_pg_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_CONN_STR", "postgres://tf:s3cret@127.0.0.1/tf")
    line = fails(capsys, "plan", "--refresh")
    assert "move it to PGPASSWORD" in line
    assert "s3cret" not in line


def test_postgresql_is_down(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("PG_CONN_STR", f"postgres://tf@127.0.0.1:{closed_port}/tf")
    line = fails(capsys, "plan", "--refresh")
    assert "PostgreSQL refuses the connection" in line
    assert "Connection refused" in line


@pytest.mark.usefixtures("postgresql_is_fine")
def test_no_kubeconfig_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert "KUBE_CONFIG_PATH is not set" in fails(capsys, "plan", "--refresh")


@pytest.mark.usefixtures("postgresql_is_fine")
def test_a_kubeconfig_that_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(tmp_path / "gone"))
    assert "gone; expected a kubeconfig" in fails(capsys, "plan", "--refresh")


@pytest.mark.usefixtures("postgresql_is_fine")
def test_no_kube_context(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(kubeconfig(tmp_path, "https://127.0.0.1:1")))
    line = fails(capsys, "plan", "--refresh")
    assert "KUBE_CTX is not set" in line
    assert "home" in line


@pytest.mark.usefixtures("postgresql_is_fine")
def test_an_unknown_kube_context(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(kubeconfig(tmp_path, "https://127.0.0.1:1")))
    monkeypatch.setenv("KUBE_CTX", "work")
    assert "KUBE_CTX is 'work'; expected one of the contexts of" in fails(
        capsys, "plan", "--refresh"
    )


@pytest.mark.usefixtures("postgresql_is_fine")
def test_an_api_server_that_does_not_answer(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    closed_port: int,
) -> None:
    path = kubeconfig(tmp_path, f"https://127.0.0.1:{closed_port}")
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(path))
    monkeypatch.setenv("KUBE_CTX", "home")
    assert "the API server of KUBE_CTX 'home' does not answer" in fails(
        capsys, "plan", "--refresh"
    )


@pytest.mark.parametrize("command", [("plan", "--refresh"), ("deploy", "--yes"), ("up",)])
def test_another_terraform(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    write_program(tmp_path / "bin" / "terraform", TERRAFORM.format(version="1.5.7"))
    assert "terraform is Terraform 1.5.7; expected Terraform 1.11.x" in fails(capsys, *command)


def test_a_variable_that_names_no_terraform(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRAFORM_BINARY_NAME", "gone")
    line = fails(capsys, "plan", "--refresh")
    assert "TERRAFORM_BINARY_NAME is 'gone'; expected an executable program" in line


def test_no_embedded_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = fails(capsys, "env", "--state-dir", str(tmp_path))
    assert "no embedded cluster runs in" in line
    assert f"python -m ops up --state-dir {tmp_path}`" in line


def test_env_without_a_cluster_fails_where_a_shell_evaluates_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["env", "--state-dir", str(tmp_path)]) == 1
    script = f'eval "{capsys.readouterr().out}" && echo goes on'
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")


@pytest.mark.parametrize("name", ["terraform", "tofu"])
def test_env_exports_the_program_that_cdktf_would_not_find(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
) -> None:
    """Without the variable, cdktf runs `terraform`."""
    running = EmbeddedCluster(
        state_dir=tmp_path,
        kubeconfig=tmp_path / "kubeconfig",
        kube_context="embedded",
        pg_conn_str="postgres://",
        endpoint_port=1,
        exporter_port=1,
        kubelet_port=2,
    )
    monkeypatch.setattr(embedded, "find", lambda _: running)
    (tmp_path / "bin" / "terraform").unlink()
    answer = TERRAFORM.format(version="1.11.4")
    if name == "tofu":
        answer = answer.replace(', "terraform_outdated": false', "")
    write_program(tmp_path / "bin" / name, answer)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert main(["env", "--state-dir", str(tmp_path)]) == 0
    exported = "export TERRAFORM_BINARY_NAME=tofu\n" in capsys.readouterr().out
    assert exported is (name == "tofu")


def test_down_where_nothing_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["down", "--state-dir", str(tmp_path)]) == 0
    assert "nothing was running" in capsys.readouterr().out


def test_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "cannot be written" in fails(capsys, "manifests", "--out", str(tmp_path))


def test_manifests_need_neither_cluster_nor_database(tmp_path: Path) -> None:
    out = tmp_path / "manifests.yaml"
    assert main(["manifests", "--out", str(out)]) == 0
    assert len(list(yaml.safe_load_all(out.read_text()))) == len(RESOURCES)


def test_a_deploy_without_a_terminal_has_to_be_approved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "deploy --yes` applies without asking" in fails(capsys, "deploy", code=2)
    assert "adopt --yes` takes over without asking" in fails(capsys, "adopt", code=2)


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "depoly", code=2) == (
        "error: No such command 'depoly'. Did you mean 'deploy'? See python -m ops --help.\n"
    )


def test_an_unknown_choice_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "fit", "--kv", "q9", code=2) == (
        "error: Invalid value for '--kv': 'q9' is not one of 'f16', 'bf16', 'q8_0', 'q4_0'. "
        "See python -m ops --help.\n"
    )


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "plan", "--refresh"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "down", "env", "serve", "deploy", "plan", "manifests"])
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert "Example:" in capsys.readouterr().out


def test_the_table_of_commands_equals_folders_and_helps() -> None:
    folders = {path.parent.name for path in (ROOT / "ops/commands").glob("*/command.py")}
    assert set(COMMANDS) == folders
    helps = {name: load(name).help.partition("\n\n")[0].replace("\n", " ") for name in COMMANDS}
    assert helps == COMMANDS


def test_help_imports_no_command_no_registry_and_no_cdktf() -> None:
    program = (
        "import sys; from ops.cli import main; code = main(['--help']);"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(result.stderr.split())
    assert "ops.cli" in loaded
    unwanted = ("ops.commands", "llama_swap_config.registry", "stacks", "cdktf", "jsii")
    assert [module for module in loaded if module.startswith(unwanted)] == []
    assert all(name in result.stdout for name in COMMANDS)
