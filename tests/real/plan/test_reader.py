"""A plan with the accounts of docs/ci: it works, it is empty, and nothing can be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.cluster import environment
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.terraform.program import Tool, find
from ops.terraform.run import Terraform
from tests.declaration.registry import REGISTRY
from tests.real.deploy.applied import apply, finds_changes
from tests.real.deploy.running_provider import VARIABLE, address_for, running
from tests.real.plan.reader import DOCS, account, as_role

Synth = Callable[..., dict[str, Any]]


def write(directory: Path, document: dict[str, Any]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cdk.tf.json").write_text(json.dumps(document))
    return directory


@pytest.fixture(scope="module")
def deployed(
    cluster: EmbeddedCluster,
    kube: Cluster,
    synth: Synth,
    provider: Path,
    running_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """Deploy the stack as an administrator; the value is the reader's environment."""
    directory = tmp_path_factory.mktemp("deployed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        terraform = Terraform(write(directory / "stack", synth()))
        terraform.init()
        terraform.push_empty_state()
        apply(terraform)
    with psycopg.connect(cluster.pg_conn_str, autocommit=True) as admin:
        admin.execute((DOCS / "plan-reader.sql").read_bytes())
    reader = account(cluster, kube, "plan-reader", directory)
    access = {"KUBE_CONFIG_PATH": str(reader.config_path), "KUBE_CTX": reader.context}
    with running(provider, directory / "log", access) as address:
        yield access | {
            "PG_CONN_STR": as_role(cluster.pg_conn_str, "plan_reader"),
            "PG_SKIP_INDEX_CREATION": "true",
            "PG_SKIP_SCHEMA_CREATION": "true",
            "PG_SKIP_TABLE_CREATION": "true",
            VARIABLE: address_for(address, find(None).tool),
        }


@pytest.fixture
def reader(deployed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in deployed.items():
        monkeypatch.setenv(name, value)


def states(cluster: EmbeddedCluster) -> list[tuple[Any, ...]]:
    with psycopg.connect(cluster.pg_conn_str) as admin:
        return admin.execute('select name, data from "llama-cpp".states').fetchall()


@pytest.mark.usefixtures("reader")
def test_the_checks_pass_and_the_plan_is_empty(synth: Synth, tmp_path: Path) -> None:
    environment.check_postgresql()
    environment.check_cluster()
    terraform = Terraform(write(tmp_path, synth()))
    terraform.init()
    assert not finds_changes(terraform, lock=False)
    changes = terraform.changes(lock=False)
    assert {change.action for change in changes} == {"no-op"}
    assert len(changes) == sum(len(resources) for resources in synth()["resource"].values())


@pytest.mark.usefixtures("reader")
def test_a_change_is_planned_and_its_apply_is_refused(
    synth: Synth,
    tmp_path: Path,
    cluster: EmbeddedCluster,
    provider_address: Callable[[Tool], str],
) -> None:
    first, *others = REGISTRY
    models = (replace(first, context=4096), *others)
    terraform = Terraform(write(tmp_path, synth(models=models)))
    terraform.init()
    assert finds_changes(terraform, lock=False)
    before = states(cluster)
    with pytest.raises(OpsError, match=r"cannot patch resource|permission denied"):
        apply(terraform)
    assert states(cluster) == before
    # The administrator's plan of what was deployed still finds nothing changed.
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        patch.setenv(VARIABLE, provider_address(find(None).tool))
        unchanged = Terraform(write(tmp_path / "again", synth()))
        unchanged.init()
        assert not finds_changes(unchanged)


@pytest.mark.usefixtures("reader")
def test_a_state_is_pulled_and_its_push_is_refused(
    synth: Synth, tmp_path: Path, cluster: EmbeddedCluster
) -> None:
    directory = write(tmp_path, synth())
    terraform = Terraform(directory)
    terraform.init()
    state = json.loads(terraform.checked("state", "pull"))
    before = states(cluster)
    changed = state | {"serial": state["serial"] + 1, "resources": []}
    pushed = terraform.run("state", "push", "-lock=false", "-", stdin=json.dumps(changed))
    assert pushed.returncode == 1
    assert "permission denied for table states" in pushed.stderr
    assert states(cluster) == before


@pytest.mark.usefixtures("reader")
def test_a_plan_without_the_skips_is_refused_for_a_reason_that_the_docs_name(
    synth: Synth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in ("SCHEMA", "TABLE", "INDEX"):
        monkeypatch.delenv(f"PG_SKIP_{what}_CREATION")
    with pytest.raises(OpsError, match="permission denied"):
        Terraform(write(tmp_path, synth())).init()
