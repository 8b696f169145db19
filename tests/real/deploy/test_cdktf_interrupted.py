"""Whatever ends `cdktf deploy`, Terraform writes its state, and one more deploy completes it.

The stack has built-in resources only, so that the tests need no provider.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.terraform.program import VARIABLE, Program
from ops.terraform.run import Terraform
from tests.real.deploy.activated import Shell, shell
from tests.real.deploy.applied import apply, finds_changes
from tests.real.deploy.tools import BOTH_TOOLS

STACK = "interrupted"
APP = """
import json, sys
from pathlib import Path
directory = Path("cdktf.out/stacks/interrupted")
directory.mkdir(parents=True, exist_ok=True)
directory.joinpath("cdk.tf.json").write_text({document!r})
Path("cdktf.out/manifest.json").write_text({manifest!r})
"""
MANIFEST = {
    "version": "0.21.0",
    "stacks": {
        STACK: {
            "name": STACK,
            "constructPath": STACK,
            "workingDirectory": f"stacks/{STACK}",
            "synthesizedStackPath": f"stacks/{STACK}/cdk.tf.json",
            "annotations": [],
            "dependencies": [],
        }
    },
}
SLOW_STATE = f"""
create function "{STACK}".wait() returns trigger language plpgsql
    as $$ begin perform pg_sleep(1); return new; end $$;
create trigger wait before insert or update on "{STACK}".states
    for each row execute function "{STACK}".wait();
"""
"""Each write of the state takes a second, so that what does not wait for it loses it."""


def write(project: Path, *, sleep_s: int) -> Terraform:
    """Write a CDKTF project of two resources, of which the second takes time."""
    command = f"touch started; exec sleep {sleep_s}"
    document: dict[str, Any] = {
        "//": {"metadata": {"backend": "pg", "stackName": STACK, "version": "0.21.0"}},
        "terraform": {"backend": {"pg": {"schema_name": STACK}}},
        "resource": {
            "terraform_data": {
                "quick": {"input": "1"},
                "slow": {
                    "depends_on": ["terraform_data.quick"],
                    "provisioner": [{"local-exec": {"command": command}}],
                },
            }
        },
    }
    app = APP.format(document=json.dumps(document), manifest=json.dumps(MANIFEST))
    (project / "app.py").write_text(app)
    settings = {"language": "python", "app": "python app.py", "projectId": STACK}
    (project / "cdktf.json").write_text(json.dumps(settings))
    directory = project / "cdktf.out" / "stacks" / STACK
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cdk.tf.json").write_text(json.dumps(document))
    return Terraform(directory)


@pytest.fixture
def terraform(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Program
) -> Terraform:
    """A stack whose second resource takes as long as nobody interrupts it."""
    monkeypatch.setenv("PG_CONN_STR", postgresql)
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f'drop schema if exists "{STACK}" cascade')
        stack = write(tmp_path, sleep_s=600)
        stack.init()
        admin.execute(SLOW_STATE)
    return stack


@pytest.fixture
def operator(fresh: Path, terraform: Terraform, tmp_path: Path, tool: Program) -> Iterator[Shell]:
    """A shell in which a deploy creates the second resource."""
    lines = f"source {fresh}/.venv/bin/activate\ncdktf deploy {STACK} --auto-approve"
    with shell(tmp_path, lines, **{VARIABLE: str(tool.path)}) as opened:
        opened.until("Provisioning with 'local-exec'")
        yield opened


def ids(postgresql: str) -> dict[str, str]:
    """Return the id of each resource in the state."""
    with psycopg.connect(postgresql) as connection:
        ((data,),) = connection.execute(f'select data from "{STACK}".states').fetchall()
    return {
        resource["name"]: instance["attributes"]["id"]
        for resource in json.loads(data)["resources"]
        for instance in resource["instances"]
    }


def check_recovery(terraform: Terraform, project: Path, postgresql: str) -> None:
    """Deploy once more; what was made is in the state, so that nothing is made twice."""
    # The plan waits for the lock of an apply that still runs.
    assert finds_changes(terraform)
    made = ids(postgresql)
    assert set(made) == {"quick", "slow"}
    apply(write(project, sleep_s=0))
    assert ids(postgresql)["quick"] == made["quick"]
    assert not finds_changes(terraform)


def check_interrupted(operator: Shell, tool: Program) -> None:
    assert operator.end() == 130, operator.text
    error = f"error: interrupted; {tool.tool} apply wrote its state. Deploy again to continue"
    assert operator.text.splitlines()[-1] == error


@BOTH_TOOLS
def test_cdktf_waits_for_the_state_after_ctrl_c(
    operator: Shell, terraform: Terraform, tmp_path: Path, postgresql: str, tool: Program
) -> None:
    # Whoever sees nothing happen types it again.
    for _ in range(3):
        operator.type("\x03")
    check_interrupted(operator, tool)
    assert "cdktf has ended; waiting for Terraform to write its state" in operator.text
    check_recovery(terraform, tmp_path, postgresql)


def sigterm_to_cdktf(operator: Shell) -> None:
    operator.started("python").terminate()


def kill_of_node(operator: Shell) -> None:
    operator.started("node").kill()


@pytest.mark.parametrize("end", [sigterm_to_cdktf, kill_of_node])
def test_cdktf_waits_for_the_state_after_a_signal(
    operator: Shell,
    terraform: Terraform,
    tmp_path: Path,
    postgresql: str,
    tool: Program,
    end: Callable[[Shell], None],
) -> None:
    end(operator)
    check_interrupted(operator, tool)
    check_recovery(terraform, tmp_path, postgresql)


def test_a_closed_terminal_does_not_lose_the_state(
    operator: Shell, terraform: Terraform, tmp_path: Path, postgresql: str
) -> None:
    operator.close()
    check_recovery(terraform, tmp_path, postgresql)


def test_a_cdktf_that_is_killed_as_a_whole_does_not_lose_the_state(
    operator: Shell, terraform: Terraform, tmp_path: Path, postgresql: str
) -> None:
    for process in [operator.started("python"), operator.started("node")]:
        process.kill()
    check_recovery(terraform, tmp_path, postgresql)


def test_a_killed_terraform_fails_the_command(operator: Shell, terraform: Terraform) -> None:
    operator.started(terraform.program.path.name).kill()
    assert operator.end() == 1, operator.text
    last = operator.text.splitlines()[-1]
    assert f"error: {terraform.program.tool} apply was ended by signal 9" in last


def test_terraform_completes_an_apply_that_nothing_watches(
    operator: Shell, terraform: Terraform
) -> None:
    program = operator.started(terraform.program.path.name)
    watching = program.parent()
    assert watching is not None
    watching.kill()
    assert operator.end() == 1, operator.text
    assert "terraform-under-cdktf was killed" in operator.text.splitlines()[-1]
    assert program.is_running()
    # The plan waits for it.
    program.send_signal(signal.SIGINT)
    assert finds_changes(terraform)
