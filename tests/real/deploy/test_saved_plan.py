"""A saved plan and its apply, with a real PostgreSQL but no provider.

Where the test depends on what a tool prints, it runs both.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from ops.commands.deploy.policy import Ordinary
from ops.commands.deploy.run import apply_as_shown
from ops.errors import OpsError, RefusedError
from ops.terraform.apply_process import ERRORS, OUTPUT
from ops.terraform.program import Program
from ops.terraform.run import SavedPlan, StateNotWrittenError, Terraform
from ops.terraform.verdict import Verdict
from tests.conftest import ROOT
from tests.real.deploy.applied import apply, finds_changes
from tests.real.deploy.deploy_process import End, ending
from tests.real.deploy.tools import BOTH_TOOLS

Write = Callable[..., Terraform]
_SCHEMAS = "select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$|^public$'"


@pytest.fixture
def write(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Program
) -> Write:
    """Write a stack of Terraform's built-in resources with these names."""
    monkeypatch.setenv("PG_CONN_STR", postgresql)
    with psycopg.connect(postgresql, autocommit=True) as admin:
        for (name,) in admin.execute(_SCHEMAS).fetchall():
            admin.execute(f'drop schema "{name}" cascade')

    def stack(schema: str, *names: str, sleep_s: float = 0, **inputs: str) -> Terraform:
        directory = tmp_path / schema
        directory.mkdir(exist_ok=True)
        things: dict[str, Any] = {name: {"input": inputs.get(name, "1")} for name in names}
        if sleep_s:
            command = f"touch started; exec sleep {sleep_s}"
            things["slow"] = {"provisioner": [{"local-exec": {"command": command}}]}
        document = {
            "terraform": {"backend": {"pg": {"schema_name": schema}}},
            "resource": {"terraform_data": things} if things else {},
        }
        (directory / "cdk.tf.json").write_text(json.dumps(document))
        terraform = Terraform(directory)
        if not (directory / ".terraform").exists():
            terraform.init()
        return terraform

    return stack


def state(postgresql: str, schema: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(postgresql) as connection:
        return connection.execute(f'select data from "{schema}".states').fetchall()


def ids(postgresql: str, schema: str) -> dict[str, str]:
    """Return the id of each resource in the state."""
    ((data,),) = state(postgresql, schema)
    return {
        resource["name"]: instance["attributes"]["id"]
        for resource in json.loads(data)["resources"]
        for instance in resource["instances"]
    }


def deploy(terraform: Terraform, **changes: Any) -> list[Verdict]:
    """Deploy without approval, and return the shown verdicts."""
    shown: list[Verdict] = []

    def show(_plan: SavedPlan, verdict: Verdict) -> None:
        shown.append(verdict)

    settings: dict[str, Any] = {
        "show": show,
        "approve": lambda: True,
        "quiet": True,
        "say": lambda line: None,
    }
    apply_as_shown(terraform, **(settings | changes))
    return shown


def test_foreign_objects_are_not_destroyed(write: Write, postgresql: str) -> None:
    apply(write("others", "namespace", "volume"))
    before = state(postgresql, "others")
    with pytest.raises(RefusedError) as caught:
        deploy(write("others", "ours"))
    assert str(caught.value) == (
        "refused, and nothing was changed: this deploy would remove terraform_data.namespace, "
        "terraform_data.volume (not made by this stack). `python -m ops adopt` takes over an "
        "endpoint that runs already; first it shows what it would change. Pass --allow-removal "
        'ADDRESS for each object that may go. See docs/operating.md, "What a deploy refuses"'
    )
    assert caught.value.exit_code == 3
    assert state(postgresql, "others") == before


def test_only_named_addresses_are_removed(write: Write, postgresql: str) -> None:
    apply(write("named", "one", "two"))
    before = state(postgresql, "named")
    terraform = write("named", "ours")
    with pytest.raises(RefusedError, match=r"remove terraform_data\.two \(not"):
        deploy(terraform, policy=Ordinary(allow_removal=("terraform_data.one",)))
    assert state(postgresql, "named") == before
    deploy(terraform, policy=Ordinary(allow_removal=("terraform_data.one", "terraform_data.two")))
    assert set(ids(postgresql, "named")) == {"ours"}


def test_applied_plan_is_the_shown_plan(write: Write, postgresql: str) -> None:
    terraform = write("shown", "first")

    def edit(_plan: SavedPlan, _verdict: Verdict) -> None:
        write("shown", "first", "second", first="2")

    deploy(terraform, show=edit)
    assert set(ids(postgresql, "shown")) == {"first"}
    (change,) = (planned for planned in terraform.changes() if planned.action == "update")
    assert (change.before["input"], change.after["input"]) == ("1", "2")


@BOTH_TOOLS
def test_stale_plan_is_planned_and_shown_again(write: Write, postgresql: str) -> None:
    apply(write("stale", "ours"))
    shown: list[Verdict] = []
    lines: list[str] = []

    def show(_plan: SavedPlan, verdict: Verdict) -> None:
        shown.append(verdict)
        if len(shown) == 1:
            apply(write("stale", "ours", "theirs"))
            write("stale", "ours", ours="2")

    with pytest.raises(RefusedError, match=r"terraform_data\.theirs"):
        deploy(write("stale", "ours", ours="2"), show=show, say=lines.append)
    assert [verdict.headline for verdict in shown] == [
        "0 to add, 1 to change, 0 to replace, 0 to remove",
        "1 refused; 0 to add, 1 to change, 0 to replace, 1 to remove",
    ]
    assert lines == ["somebody else applied since this plan was made; planning again"]
    assert set(ids(postgresql, "stale")) == {"ours", "theirs"}


def test_deploy_ends_after_five_stale_plans(write: Write) -> None:
    apply(write("busy", "ours"))
    rounds: list[int] = []

    def show(_plan: SavedPlan, _verdict: Verdict) -> None:
        rounds.append(len(rounds))
        apply(write("busy", "ours", ours=f"theirs {len(rounds)}"))
        write("busy", "ours", ours="mine")

    with pytest.raises(OpsError, match="others keep applying to this state"):
        deploy(write("busy", "ours", ours="mine"), show=show)


def test_plan_without_approval_changes_nothing(write: Write, postgresql: str) -> None:
    apply(write("asked", "ours"))
    before = state(postgresql, "asked")
    with pytest.raises(OpsError, match="not approved; nothing was changed"):
        deploy(write("asked", "ours", ours="2"), approve=lambda: False)
    assert state(postgresql, "asked") == before


def test_plan_without_changes_needs_no_approval(write: Write) -> None:
    apply(write("same", "ours"))
    (verdict,) = deploy(
        write("same", "ours"), approve=lambda: pytest.fail("there is nothing to approve")
    )
    assert verdict.planned == ()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(write: Write) -> Iterator[Start]:
    """Start a deploy in its own process, and return when it creates a resource."""
    processes: list[subprocess.Popen[str]] = []

    def deploy_slowly(
        schema: str, *, sleep_s: float = 600, **streams: Any
    ) -> subprocess.Popen[str]:
        directory = write(schema, "quick", sleep_s=sleep_s).directory
        program = (
            "import sys; from pathlib import Path\n"
            "from ops.commands.deploy.run import apply_as_shown\n"
            "from ops.terraform.run import Terraform\n"
            "apply_as_shown(Terraform(Path(sys.argv[1])), show=lambda *_: None,"
            " approve=lambda: True, say=lambda line: None)"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(directory)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
            start_new_session=True,
            **({"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | streams),
        )
        processes.append(process)
        deadline = time.monotonic() + 60
        while not (directory / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    yield deploy_slowly
    for process in processes:
        process.kill()
        process.communicate()


@BOTH_TOOLS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_terraform_write_its_state(
    start: Start, write: Write, postgresql: str, tool: Program, number: signal.Signals
) -> None:
    schema = f"interrupted-{number.name.lower()}"
    process = start(schema)
    # Whoever sees nothing happen signals again; Terraform gets the first one alone.
    for sent in (number, signal.SIGINT, signal.SIGTERM):
        process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert f"waiting for {tool.product} to write its state" in errors
    assert f"interrupted; {tool.tool} apply wrote its state" in errors.splitlines()[-1]
    # The lock is free, and the state knows what was made and what was only begun.
    assert set(ids(postgresql, schema)) == {"quick", "slow"}
    deploy(write(schema, "quick"), policy=Ordinary(allow_removal=("terraform_data.slow",)))
    assert not finds_changes(write(schema, "quick"))


@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_closed_output_does_not_lose_the_state(
    start: Start, postgresql: str, streams: tuple[str, ...]
) -> None:
    """As with `ops deploy | tee log` and Ctrl-C, which ends tee first, or a closed terminal."""
    schema = f"left-{'-'.join(streams)}"
    reader, writer = os.pipe()
    process = start(schema, **dict.fromkeys(streams, writer))
    os.close(writer)
    os.close(reader)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert set(ids(postgresql, schema)) == {"quick", "slow"}


@BOTH_TOOLS
def test_terraform_completes_an_apply_whose_deploy_is_killed(
    start: Start, write: Write, postgresql: str
) -> None:
    reader, writer = os.pipe()
    process = start("orphaned", sleep_s=2, stdout=writer, stderr=writer)
    os.close(writer)
    process.kill()
    os.close(reader)
    process.wait()
    # The plan waits for the lock of the apply.
    terraform = write("orphaned", "quick", sleep_s=2)
    assert not finds_changes(terraform)
    assert set(ids(postgresql, "orphaned")) == {"quick", "slow"}
    assert "Apply complete!" in (terraform.directory / OUTPUT).read_text()


def test_output_of_an_apply_stays_until_one_succeeds(write: Write) -> None:
    terraform = write("logged", "ours")
    path = terraform.directory / "cdk.tf.json"
    correct = path.read_text()
    broken = json.loads(correct)
    provisioner = {"local-exec": {"command": "echo no space >&2; exit 7"}}
    broken["resource"]["terraform_data"]["ours"]["provisioner"] = [provisioner]
    path.write_text(json.dumps(broken))
    with pytest.raises(OpsError, match="local-exec provisioner error"):
        deploy(terraform)
    assert "Creating..." in (terraform.directory / OUTPUT).read_text()
    assert "no space" in (terraform.directory / ERRORS).read_text()
    path.write_text(correct)
    deploy(terraform)
    assert not (terraform.directory / OUTPUT).exists()
    assert not (terraform.directory / ERRORS).exists()


@BOTH_TOOLS
def test_unwritten_state_also_stops_the_next_deploy(
    start: Start, write: Write, postgresql: str, tool: Program
) -> None:
    process = start("unwritten")
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute("alter table unwritten.states rename to elsewhere")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute("alter table unwritten.elsewhere rename to states")
    last = errors.splitlines()[-1]
    assert f"{tool.product} could not write its state" in last
    assert f"`{tool.command} state push errored.tfstate`" in last

    terraform = write("unwritten", "quick")
    with pytest.raises(StateNotWrittenError, match=r"errored\.tfstate"):
        deploy(terraform)
    unwritten = terraform.directory / "errored.tfstate"
    terraform.checked("state", "push", unwritten.name)
    unwritten.unlink()
    deploy(terraform, policy=Ordinary(allow_removal=("terraform_data.slow",)))
    assert set(ids(postgresql, "unwritten")) == {"quick"}


def test_killed_terraform_is_reported_without_a_written_state(start: Start, tool: Program) -> None:
    process = start("killed")
    (terraform,) = (
        child for child in psutil.Process(process.pid).children() if child.name() == tool.path.name
    )
    terraform.kill()
    _, errors = process.communicate(timeout=60)
    assert f"{tool.tool} apply was ended by signal 9" in errors.splitlines()[-1]


@BOTH_TOOLS
@pytest.mark.parametrize("end", ["kill all", "kill terraform"])
def test_a_deploy_after_one_that_was_killed_completes(
    start: Start, write: Write, postgresql: str, end: End
) -> None:
    schema = end.replace(" ", "-")
    process = start(schema)
    below = psutil.Process(process.pid).children(recursive=True)
    ending(process.pid, end)()
    process.communicate(timeout=60)
    for each in below:  # What Terraform itself started.
        with suppress(psutil.NoSuchProcess):
            each.kill()
    terraform = write(schema, "quick")
    deploy(terraform, policy=Ordinary(allow_removal=("terraform_data.slow",)))
    assert set(ids(postgresql, schema)) == {"quick"}
    assert not list(terraform.directory.glob("plan-*"))


@BOTH_TOOLS
def test_allow_removal_does_not_permit_a_forget(write: Write, postgresql: str) -> None:
    apply(write("forgotten", "theirs"))
    before = state(postgresql, "forgotten")
    terraform = write("forgotten", "ours")
    path = terraform.directory / "cdk.tf.json"
    removed = [{"from": "terraform_data.theirs", "lifecycle": {"destroy": False}}]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"removed": removed}))
    with pytest.raises(RefusedError) as caught:
        deploy(terraform, policy=Ordinary(allow_removal=("terraform_data.theirs",)))
    assert "would forget terraform_data.theirs (not made by this stack)" in str(caught.value)
    assert "--allow-removal" not in str(caught.value)
    assert "`python -m ops adopt` takes over" in str(caught.value)
    assert state(postgresql, "forgotten") == before


@BOTH_TOOLS
def test_allow_removal_does_not_override_prevent_destroy(write: Write, postgresql: str) -> None:
    terraform = write("guarded", "other")
    path = terraform.directory / "cdk.tf.json"
    document = json.loads(path.read_text())

    def guarded(version: str) -> None:
        thing = {"triggers_replace": version, "lifecycle": {"prevent_destroy": True}}
        things = {"a_long_name_so_that_the_line_of_the_error_is_wrapped_before_its_end": thing}
        document["resource"] = {"terraform_data": things}
        path.write_text(json.dumps(document))

    guarded("1")
    apply(terraform)
    before = state(postgresql, "guarded")
    guarded("2")
    (address,) = (change.address for change in terraform.changes() if change.action == "replace")
    with pytest.raises(RefusedError, match="prevent_destroy is true in the settings") as caught:
        deploy(terraform, policy=Ordinary(allow_removal=(address,)))
    assert "Set prevent_destroy to false" in str(caught.value)
    assert "--allow-removal" not in str(caught.value)
    assert state(postgresql, "guarded") == before
