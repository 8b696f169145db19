"""A deploy over foreign objects in the same state is refused before anything changes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from llama_swap_config.cluster.sharing import Alone
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.commands.deploy.policy import Ordinary
from ops.commands.deploy.run import apply_as_shown
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import RefusedError
from ops.terraform.program import find
from ops.terraform.run import SavedPlan, Terraform
from ops.terraform.verdict import Verdict
from tests.real.deploy import hand_written, running_provider
from tests.real.deploy.applied import apply, finds_changes

Synth = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("running_provider")

SCHEMA = "llama-cpp"
NAMESPACE = f"/api/v1/namespaces/{hand_written.NAMESPACE}"
GUARDED = (
    NAMESPACE,
    "/api/v1/persistentvolumes/llama-cpp-models",
    f"{NAMESPACE}/persistentvolumeclaims/llama-cpp-models",
    f"/apis/apps/v1/namespaces/{hand_written.NAMESPACE}/deployments/llama-swap",
)


@dataclass(frozen=True, slots=True)
class World:
    """Return cluster and state as seen from outside."""

    api: KubeApi
    pg_conn_str: str

    def uids(self) -> dict[str, str]:
        """Each guarded object's uid; one that is deleted, or being deleted, has none."""
        guarded = {path: (self.api.get(path) or {}).get("metadata", {}) for path in GUARDED}
        return {
            path: metadata["uid"]
            for path, metadata in guarded.items()
            if "uid" in metadata and "deletionTimestamp" not in metadata
        }

    def names(self) -> list[str]:
        """Everything in the namespace that a stack makes."""
        of = ("configmaps", "services", "persistentvolumeclaims")
        paths = [f"{NAMESPACE}/{kind}" for kind in of]
        paths += [
            f"/apis/{group}/namespaces/{hand_written.NAMESPACE}/{kind}"
            for group, kind in (
                ("apps/v1", "deployments"),
                ("batch/v1", "jobs"),
                ("batch/v1", "cronjobs"),
                ("networking.k8s.io/v1", "networkpolicies"),
            )
        ]
        return sorted(
            f"{path.rpartition('/')[2]}/{item['metadata']['name']}"
            for path in paths
            for item in (self.api.get(path) or {})["items"]
        )

    def put_back(self, data: str) -> None:
        """Make the state what it was."""
        with psycopg.connect(self.pg_conn_str) as admin:
            admin.execute(f'update "{SCHEMA}".states set data = %s', (data,))

    def state(self) -> list[tuple[Any, ...]]:
        """The state's row, byte for byte."""
        with psycopg.connect(self.pg_conn_str) as admin:
            return admin.execute(f'select name, data from "{SCHEMA}".states').fetchall()


@pytest.fixture(scope="module")
def before(cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hand-written endpoint, deployed with its state in our schema."""
    directory = tmp_path_factory.mktemp("hcl")
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with pytest.MonkeyPatch.context() as patch, KubeApi(target) as api:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        terraform = Terraform(hand_written.write(directory, schema_name=SCHEMA))
        terraform.init()
        apply(terraform)
        yield World(api, cluster.pg_conn_str)


@pytest.mark.usefixtures("apart")
def test_deploy_over_hand_written_hcl_changes_nothing(
    before: World, capfd: pytest.CaptureFixture[str]
) -> None:
    uids, names, state = before.uids(), before.names(), before.state()
    assert set(uids) == set(GUARDED)

    assert main(["deploy", "--yes"]) == 3

    output = capfd.readouterr()
    assert "7 refused; " in output.out
    assert "Apply complete" not in output.out
    assert len(output.err.splitlines()) == 1
    assert all(address in output.err for address in hand_written.ADDRESSES)
    assert "nothing was changed" in output.err
    assert "`python -m ops adopt` takes over an endpoint that runs already" in output.err
    assert before.uids() == uids
    assert before.names() == names
    assert before.state() == state


@pytest.mark.usefixtures("apart")
def test_allow_removal_never_lets_terraform_forget_the_endpoint(
    before: World, capfd: pytest.CaptureFixture[str]
) -> None:
    state = before.state()
    allowances = [f"--allow-removal={address}" for address in sorted(hand_written.ADDRESSES)]
    assert main(["deploy", "--yes", *allowances]) == 3
    assert "kubernetes_namespace.llama_cpp" in capfd.readouterr().err
    assert before.state() == state


@pytest.mark.usefixtures("apart")
def test_plan_refresh_shows_terraforms_counts_first(
    before: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--base", "HEAD", "--refresh"]) == 2
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("Plan for llama-cpp: 7 refused; ")
    assert lines[0].endswith(" 0 to change, 0 to replace, 0 to remove, 7 to forget")
    comparison = lines.index("Comparison of the two branches")
    assert lines.index("Terraform") < comparison
    assert any("kubernetes_namespace.llama_cpp" in line for line in lines[:comparison])


def test_without_removed_blocks_the_same_plan_would_destroy(
    before: World, apart: Path, synth: Synth
) -> None:
    """Removed blocks protect `cdktf deploy` from this plan, and `ops deploy` refuses it."""
    document = synth()
    assert {block["from"] for block in document.pop("removed")} >= {"module.nfs_models"}
    apart.mkdir(parents=True)
    (apart / "cdk.tf.json").write_text(json.dumps(document))
    terraform = Terraform(apart)
    terraform.init()
    state = before.state()
    seen: list[Verdict] = []
    with pytest.raises(RefusedError):
        apply_as_shown(
            terraform,
            show=lambda _, verdict: seen.append(verdict),
            approve=lambda: pytest.fail("a refused plan is not offered"),
            say=print,
        )
    (verdict,) = seen
    destroyed = {change.address for change in verdict.changes if change.action == "delete"}
    assert destroyed == hand_written.ADDRESSES
    assert before.state() == state


@pytest.mark.usefixtures("apart")
def test_cdktf_deploy_destroys_nothing_of_a_hand_written_endpoint(
    before: World, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(running_provider.VARIABLE)
    uids, names, ((_, data),) = before.uids(), before.names(), before.state()
    try:
        result = subprocess.run(
            [fresh / ".venv/bin/cdktf", "deploy", "llama-cpp", "--auto-approve"],
            cwd=fresh,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 1, result.stdout + result.stderr
        error = result.stderr.splitlines()[-1]
        assert error.startswith(f"error: {find(None).tool} apply: ")
        assert 'namespaces "llama-cpp" already exists' in error
        assert before.uids() == uids
        assert before.names() == names
    finally:
        before.put_back(data)


@pytest.fixture
def ours(cluster: EmbeddedCluster, synth: Synth, apart: Path) -> Callable[..., Terraform]:
    """Write a stack of a few of our objects, with its own schema and namespace."""

    def write(schema: str, *, foreign: bool = False, data: str = "a") -> Terraform:
        document = synth(namespace=schema, prevent_destroy=False, sharing=Alone())
        del document["removed"]
        document["terraform"]["backend"]["pg"]["schema_name"] = schema
        kept = ("kubernetes_namespace_v1", "kubernetes_network_policy_v1")
        document["resource"] = {name: document["resource"][name] for name in kept}
        maps: dict[str, Any] = {}
        for name, wanted in (("ours", True), ("notes", foreign)):
            metadata = {"name": name, "namespace": schema}
            if wanted:
                maps[name] = {"metadata": metadata, "data": {"a": data}}
        document["resource"]["kubernetes_config_map_v1"] = maps
        for config_map in maps.values():
            (namespace,) = document["resource"]["kubernetes_namespace_v1"]
            config_map["depends_on"] = [f"kubernetes_namespace_v1.{namespace}"]
        directory = apart / schema
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cdk.tf.json").write_text(json.dumps(document))
        return Terraform(directory)

    return write


def test_partly_foreign_state_is_refused_as_a_whole(
    ours: Callable[..., Terraform], cluster: EmbeddedCluster
) -> None:
    terraform = ours("half", foreign=True)
    terraform.init()
    apply(terraform)
    terraform = ours("half", data="b")
    with pytest.raises(RefusedError, match=r"kubernetes_config_map_v1\.notes \(not made by this"):
        apply_as_shown(terraform, show=lambda *_: None, approve=lambda: True, say=print)
    actions = {change.name: change.action for change in terraform.changes()}
    assert (actions["ours"], actions["notes"]) == ("update", "delete")

    lines: list[str] = []
    apply_as_shown(
        terraform,
        show=lambda *_: None,
        approve=lambda: True,
        policy=Ordinary(
            allow_removal=("kubernetes_config_map_v1.notes", "kubernetes_config_map_v1.none")
        ),
        say=lines.append,
    )
    assert lines == ["--allow-removal kubernetes_config_map_v1.none: the plan does not change it"]
    assert not finds_changes(terraform)


def test_stale_plan_that_becomes_foreign_is_planned_again_and_refused(
    ours: Callable[..., Terraform],
) -> None:
    terraform = ours("meanwhile")
    terraform.init()
    apply(terraform)
    shown: list[Verdict] = []

    def show(_plan: SavedPlan, verdict: Verdict) -> None:
        shown.append(verdict)
        if len(shown) == 1:
            # Somebody else applies the same state, with an object that we do not have.
            apply(ours("meanwhile", foreign=True))
            ours("meanwhile", data="b")

    lines: list[str] = []
    ours("meanwhile", data="b")
    with pytest.raises(RefusedError, match=r"kubernetes_config_map_v1\.notes"):
        apply_as_shown(terraform, show=show, approve=lambda: True, quiet=True, say=lines.append)
    assert [len(verdict.refused) for verdict in shown] == [0, 1]
    assert lines == ["somebody else applied since this plan was made; planning again"]
    # The change that was shown first was not applied with a plan that nobody saw.
    assert {change.name: change.action for change in terraform.changes()}["ours"] == "update"
