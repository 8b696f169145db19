"""Terraform and OpenTofu on one state in a real PostgreSQL, without a provider."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.errors import OpsError
from ops.terraform.creation_lock import creation_lock
from ops.terraform.program import REGISTRIES, Program, Tool
from ops.terraform.run import ProviderUnavailableError, Terraform
from ops.terraform.state_owner import OtherToolError
from tests.real.deploy.applied import apply, finds_changes
from tests.real.deploy.tools import BOTH_TOOLS, program_of

Write = Callable[..., Terraform]
BOTH_ORDERS = pytest.mark.parametrize(
    ("first", "second"), [("terraform", "tofu"), ("tofu", "terraform")]
)
ENCRYPTION = """
key_provider "pbkdf2" "one" { passphrase = "a passphrase of a test" }
method "aes_gcm" "one" { keys = key_provider.pbkdf2.one }
state { method = method.aes_gcm.one }
"""


@pytest.fixture
def write(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a stack of one built-in resource for a tool, in a directory of its own."""
    try:
        program_of("terraform")
    except OpsError as error:
        pytest.skip(f"no Terraform to test with: {error}")
    monkeypatch.setenv("PG_CONN_STR", postgresql)
    monkeypatch.delenv("TF_ENCRYPTION", raising=False)

    def stack(tool: Tool, schema: str, *, input: str = "1", **more: Any) -> Terraform:
        directory = tmp_path / uuid.uuid4().hex
        directory.mkdir()
        document = {
            "terraform": {"backend": {"pg": {"schema_name": schema}}},
            "resource": {"terraform_data": {"only": {"input": input} | more}},
        }
        (directory / "cdk.tf.json").write_text(json.dumps(document))
        return Terraform(directory, program=program_of(tool))

    return stack


def rows(postgresql: str, schema: str) -> list[str]:
    """The state's rows, byte for byte."""
    with psycopg.connect(postgresql) as connection:
        return [data for (data,) in connection.execute(f'select data from "{schema}".states')]


@BOTH_ORDERS
def test_each_reads_the_state_that_the_other_wrote(
    write: Write, first: Tool, second: Tool
) -> None:
    schema = f"read-{first}"
    lines: list[str] = []
    before = write(first, schema)
    assert before.init_for_apply(say=lines.append) is True
    apply(before)
    assert lines == []
    after = write(second, schema)
    assert after.init_for_apply(say=lines.append) is False
    # Only built-in resources, which both tools write alike.
    (line,) = lines
    assert line.startswith("the state does not tell whether Terraform or OpenTofu wrote it")
    assert not finds_changes(after)
    changed = write(second, schema, input="2")
    changed.init()
    apply(changed)
    again = write(first, schema, input="2")
    again.init()
    assert not finds_changes(again)


@BOTH_ORDERS
def test_each_waits_for_the_lock_that_the_other_holds(
    write: Write, tmp_path: Path, first: Tool, second: Tool
) -> None:
    hold, started = tmp_path / "hold", tmp_path / "started"
    hold.touch()
    command = f"touch {started}; while [ -e {hold} ]; do sleep 0.1; done"
    holding = write(first, f"lock-{first}", provisioner=[{"local-exec": {"command": command}}])
    holding.init_for_apply(say=print)
    other = write(second, f"lock-{first}")
    other.init()
    words = ("apply", "-auto-approve", "-input=false")
    with (
        ThreadPoolExecutor() as threads,
        subprocess.Popen(
            [str(holding.program.path), *words],
            cwd=holding.directory,
            stdout=subprocess.DEVNULL,
        ) as applying,
    ):
        try:
            while not started.exists():
                assert applying.poll() is None
                time.sleep(0.05)
            refused = other.run("plan", "-input=false", "-no-color")
            assert refused.returncode == 1
            assert "Workspace is already locked" in refused.stderr
            waited = threads.submit(finds_changes, other)
        finally:
            hold.unlink()
        assert applying.wait(60) == 0
        # It planned after the apply, so it sees what that made.
        assert waited.result(90) is False


def test_first_deploys_at_once_store_one_state(write: Write, postgresql: str) -> None:
    tools: tuple[Tool, ...] = ("terraform", "tofu", "terraform", "tofu")
    stacks = [write(tool, "at-once") for tool in tools]
    with ThreadPoolExecutor(len(stacks)) as threads:
        created = list(threads.map(lambda stack: stack.init_for_apply(say=print), stacks))
    assert sorted(created) == [False, False, False, True]
    (state,) = rows(postgresql, "at-once")
    assert json.loads(state)["serial"] == 1


def test_a_deploy_says_that_it_waits_for_another_first_one(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = write("tofu", "waits")
    lines: list[str] = []
    waits = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        waits.set()

    with ThreadPoolExecutor() as threads:
        with creation_lock("waits", say=print):
            created = threads.submit(stack.init_for_apply, say=say)
            assert waits.wait(60)
        assert created.result(60) is True
    assert lines == ["another deploy prepares the state in schema 'waits'; waiting for it"]


@pytest.mark.usefixtures("write")
def test_a_deploy_ends_if_another_first_one_does_not() -> None:
    with (
        creation_lock("held", say=print),
        pytest.raises(OpsError, match="another deploy has prepared the state in schema 'held'"),
        creation_lock("held", say=print, timeout_s=0.1),
    ):
        pass
    # Another schema, and the same one later, are free.
    with creation_lock("held", say=pytest.fail), creation_lock("other", say=pytest.fail):
        pass


@BOTH_ORDERS
def test_a_state_of_the_other_tool_is_refused_and_the_named_command_moves_it(
    write: Write, postgresql: str, first: Tool, second: Tool
) -> None:
    """The state has a resource of the provider, which neither test needs."""
    schema = f"moved-{first}"
    owner = write(first, schema)
    owner.init_for_apply(say=print)
    theirs = f"{REGISTRIES[first]}/hashicorp/kubernetes"
    namespace = {
        "mode": "managed",
        "type": "kubernetes_namespace_v1",
        "name": "it",
        "provider": f'provider["{theirs}"]',
        "instances": [{"schema_version": 0, "attributes": {"id": "it"}}],
    }
    state = json.loads(rows(postgresql, schema)[0])
    state |= {"serial": 2, "resources": [namespace]}
    pushed = owner.run("state", "push", "-", stdin=json.dumps(state))
    assert pushed.returncode == 0, pushed.stderr
    before = rows(postgresql, schema)

    stack = write(second, schema)
    with pytest.raises(OtherToolError, match="nothing was changed") as caught:
        stack.init_for_apply(say=print)
    assert "\n" not in str(caught.value)
    assert rows(postgresql, schema) == before

    (command,) = re.findall(r"`(.+?)`", str(caught.value))
    moved = subprocess.run(
        command,
        shell=True,
        cwd=stack.directory,
        input="yes\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert moved.returncode == 0, moved.stderr
    (after,) = rows(postgresql, schema)
    (resource,) = json.loads(after)["resources"]
    assert resource["provider"] == f'provider["{REGISTRIES[second]}/hashicorp/kubernetes"]'


def test_an_encrypted_state_is_neither_read_nor_overwritten_without_its_key(
    write: Write, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as encrypted:
        encrypted.setenv("TF_ENCRYPTION", ENCRYPTION)
        stack = write("tofu", "encrypted")
        assert stack.init_for_apply(say=print) is True
        apply(stack)
        assert not finds_changes(stack)
    before = rows(postgresql, "encrypted")
    assert "encrypted_data" in json.loads(before[0])
    tools: tuple[Tool, ...] = ("terraform", "tofu")
    for tool in tools:
        with pytest.raises(OpsError, match="TF_ENCRYPTION") as caught:
            write(tool, "encrypted").init_for_apply(say=print)
        assert "\n" not in str(caught.value)
        assert rows(postgresql, "encrypted") == before


@BOTH_TOOLS
@pytest.mark.parametrize("place", ["an empty mirror", "no network"])
def test_a_missing_provider_is_told_from_other_errors_and_names_where_it_is_looked_for(
    tool: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if place == "no network":
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    else:
        (tmp_path / "mirror").mkdir()
        config = tmp_path / "rc"
        mirror = f'filesystem_mirror {{ path = "{tmp_path / "mirror"}" }}'
        config.write_text(f"provider_installation {{ {mirror} }}\n")
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(config))
    required = {"kubernetes": {"source": "kubernetes", "version": "2.38.0"}}
    document = {"terraform": {"required_providers": required}}
    (tmp_path / "cdk.tf.json").write_text(json.dumps(document))
    with pytest.raises(ProviderUnavailableError) as caught:
        Terraform(tmp_path).init()
    line = str(caught.value)
    assert f"{tool.tool} cannot get the provider hashicorp/kubernetes 2.38.0" in line
    assert f"~/.terraform.d/plugins/{REGISTRIES[tool.tool]}/" in line
