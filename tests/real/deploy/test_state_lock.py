"""Who holds the lock of a state, with a real PostgreSQL and no provider."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ops.commands.deploy.run import apply_as_shown
from ops.errors import OpsError
from ops.terraform.program import Program
from ops.terraform.run import Terraform
from ops.terraform.state_lock import find_holder, wait_for_lock
from tests.real.deploy.applied import finds_changes
from tests.real.deploy.tools import BOTH_TOOLS


@pytest.fixture
def terraform(
    tool: Program, postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Terraform:
    """A stack whose apply lasts as long as a file exists."""
    monkeypatch.setenv("PG_CONN_STR", postgresql)
    (tmp_path / "hold").touch()
    command = "touch started; while [ -e hold ]; do sleep 0.1; done"
    document = {
        "terraform": {"backend": {"pg": {"schema_name": tmp_path.name}}},
        "resource": {
            "terraform_data": {"only": {"provisioner": [{"local-exec": {"command": command}}]}}
        },
    }
    (tmp_path / "cdk.tf.json").write_text(json.dumps(document))
    return Terraform(tmp_path)


@contextmanager
def applying(terraform: Terraform) -> Iterator[None]:
    """Apply as the Terraform of a deploy that was killed does."""
    with subprocess.Popen(
        [str(terraform.program.path), "apply", "-auto-approve", "-input=false"],
        cwd=terraform.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        try:
            deadline = time.monotonic() + 60
            while not (terraform.directory / "started").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield
        finally:
            (terraform.directory / "hold").unlink(missing_ok=True)


@BOTH_TOOLS
def test_a_deploy_says_who_holds_the_lock_and_waits(terraform: Terraform) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        (terraform.directory / "hold").unlink(missing_ok=True)

    terraform.init_for_apply(say=print)
    assert find_holder(terraform.schema) is None
    with applying(terraform):
        apply_as_shown(
            terraform,
            show=lambda *_: None,
            approve=lambda: pytest.fail("the other deploy applied this already"),
            say=say,
        )
    (line,) = lines
    assert line.startswith(f"another deploy holds the lock of schema {terraform.schema!r} (from a")
    assert not finds_changes(terraform)


@BOTH_TOOLS
def test_a_lock_that_is_not_released_names_the_connection_to_end(
    terraform: Terraform, postgresql: str
) -> None:
    """As of a machine that lost its power: PostgreSQL keeps the connection for two hours."""
    terraform.init_for_apply(say=print)
    with applying(terraform):
        with pytest.raises(OpsError, match="nothing was changed") as caught:
            wait_for_lock(terraform.schema, say=lambda line: None, timeout_s=0)
        statement = str(caught.value).rpartition(": ")[2]
        assert statement.startswith("select pg_terminate_backend(")
        with psycopg.connect(postgresql, autocommit=True) as admin:
            admin.execute(statement.encode())
        wait_for_lock(terraform.schema, say=lambda line: None, timeout_s=30)


def test_a_schema_without_a_state_is_not_locked(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_CONN_STR", postgresql)
    assert find_holder("none") is None
