"""Objects that exist in the cluster and not in the state, with the real provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from llama_swap_config.cluster.labels import labels
from llama_swap_config.cluster.sharing import Alone
from ops.cli import main
from ops.cluster import unrecorded
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.paths import object_path
from ops.cluster.server_side_apply import Cluster
from ops.commands.deploy.run import apply_as_shown
from ops.commands.plan.refresh import Access, real_verdict
from ops.commands.up.run import _deploy
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError, RefusedError
from ops.terraform.manifests import manifests
from ops.terraform.program import Program, Tool
from ops.terraform.run import SavedPlan, Terraform
from ops.terraform.synth import Synthesized
from ops.terraform.verdict import LABEL, Verdict
from tests.declaration.resources import RESOURCES
from tests.real.deploy import running_provider
from tests.real.deploy.applied import finds_changes
from tests.real.deploy.tools import BOTH_TOOLS

Json = dict[str, Any]
Synth = Callable[..., Json]

NAMESPACE = "adopted"


@pytest.fixture(scope="module")
def target(cluster: EmbeddedCluster) -> KubeTarget:
    return KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)


@pytest.fixture(scope="module")
def api(target: KubeTarget) -> Iterator[KubeApi]:
    with KubeApi(target) as connected:
        yield connected


@pytest.fixture(autouse=True)
def environment(
    apart: Path,
    tool: Program,
    provider_address: Callable[[Tool], str],
    cluster: EmbeddedCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that runs, and no state."""
    monkeypatch.setenv(running_provider.VARIABLE, provider_address(tool.tool))
    with psycopg.connect(cluster.pg_conn_str, autocommit=True) as admin:
        admin.execute('drop schema if exists "llama-cpp" cascade')
        admin.execute(f'drop schema if exists "{NAMESPACE}" cascade')


def uid(api: KubeApi, path: str) -> str | None:
    """The uid of an object that exists and is not being deleted."""
    metadata = (api.get(path) or {}).get("metadata", {})
    return None if "deletionTimestamp" in metadata else metadata.get("uid")


@BOTH_TOOLS
def test_every_kind_is_imported_unchanged_and_the_next_plan_is_empty(
    kube: Cluster, api: KubeApi, synth: Synth, tool: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    """Applied as `make up` and kubectl do; the second tool finds what the first one deployed."""
    made = manifests(synth())
    kube.apply(made)
    before = {object_path(each): uid(api, object_path(each)) for each in made}
    assert None not in before.values()
    headline = f"{len(RESOURCES)} to import, 0 to add, 2 to change, 0 to replace, 0 to remove"

    if tool.tool == "terraform":
        assert main(["plan", "--base", "HEAD", "--refresh", "--json"]) == 2
        planned = json.loads(capfd.readouterr().out)
        assert planned["counts"]["import"] == len(RESOURCES)
        assert {change["action"] for change in planned["cluster"]["changes"]} == {"import"}

    assert main(["deploy", "--yes"]) == 0
    output = capfd.readouterr()
    assert f"Plan for llama-cpp: {headline}" in output.out
    assert f"Plan: {len(RESOURCES)} to import, 0 to add, 2 to change, 0 to destroy" in output.out
    assert (
        f"the state lacks {len(RESOURCES)} objects that the cluster has" in output.out + output.err
    )
    assert "exists as declared" in output.out
    assert {path: uid(api, path) for path in before} == before


class Stack:
    """A namespace and one ConfigMap that is named by its content, in a state of their own."""

    def __init__(self, directory: Path, api: KubeApi, target: KubeTarget, document: Json) -> None:
        self._document, self._target, self._api = document, target, api
        self.terraform = Terraform(directory)
        directory.mkdir(parents=True)

    def path(self, name: str) -> str:
        return f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"

    def write(self, name: str, *, address: str = "plan_0123ABCD") -> None:
        self._document["resource"]["kubernetes_config_map_v1"] = {
            address: {
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "labels": labels("models"),
                },
                "data": {"a": name},
                "depends_on": ["kubernetes_namespace_v1.namespace_177341A3"],
            }
        }
        text = json.dumps(self._document)
        (self.terraform.directory / "cdk.tf.json").write_text(text)

    def make(self, name: str, **metadata: Any) -> None:
        """Make the ConfigMap as an apply does whose state is lost."""
        body: Json = {"metadata": {"name": name, "labels": labels("models")} | metadata}
        status, answer = self._api.request(
            "POST", self.path(name).rpartition("/")[0], body | {"data": {"a": name}}
        )
        assert status == 201, answer

    def deploy(
        self, say: Callable[[str], None] = print, *, approve: Callable[[], bool] = lambda: True
    ) -> Verdict:
        shown: list[Verdict] = []

        def show(_plan: SavedPlan, verdict: Verdict) -> None:
            shown.append(verdict)

        apply_as_shown(
            self.terraform,
            target=self._target,
            show=show,
            approve=approve,
            quiet=True,
            say=say,
        )
        return shown[-1]

    def predicted(self, program: Program, target: KubeTarget | None = None) -> Verdict:
        """What `plan --refresh` says."""
        synthesized = Synthesized(directory=self.terraform.directory, document=self._document)
        access = Access(program=program, target=target or self._target)
        return real_verdict(synthesized, access, say=print)


@pytest.fixture
def stack(
    apart: Path, api: KubeApi, target: KubeTarget, synth: Synth, tool: Program
) -> Iterator[Stack]:
    document = synth(namespace=NAMESPACE, prevent_destroy=False, sharing=Alone())
    del document["removed"]
    document["terraform"]["backend"]["pg"]["schema_name"] = NAMESPACE
    namespaces = document["resource"]["kubernetes_namespace_v1"]
    document["resource"] = {"kubernetes_namespace_v1": namespaces}
    stack = Stack(apart.with_name(NAMESPACE), api, target, document)
    stack.write("a")
    stack.terraform.init_for_apply(say=print)
    stack.deploy()
    yield stack
    for name in ("a", "b"):
        api.request("DELETE", stack.path(name))


@BOTH_TOOLS
@pytest.mark.parametrize("vanished", [True, False], ids=["the old is gone", "the old exists"])
def test_an_import_takes_the_place_of_an_older_object_in_the_state(
    stack: Stack, api: KubeApi, tool: Program, vanished: bool
) -> None:
    """A deploy was killed between its writes, and perhaps another one went back meanwhile."""
    stack.make("b")
    before = uid(api, stack.path("b"))
    if vanished:
        api.request("DELETE", stack.path("a"))
    stack.write("b")
    counts = {"import": 1, "add": 0, "change": 0, "replace": 0, "remove": int(not vanished)}
    predicted = stack.predicted(tool)
    assert counts.items() <= predicted.counts.items()
    lines: list[str] = []
    verdict = stack.deploy(lines.append)
    address = "kubernetes_config_map_v1.plan_0123ABCD"
    assert lines[1].startswith(f"moving the older entry of {address} in the state to kubernetes_")
    assert verdict.counts == predicted.counts
    assert {change.address for change in verdict.planned} == {
        change.address for change in predicted.planned
    }
    assert uid(api, stack.path("b")) == before
    assert uid(api, stack.path("a")) is None
    assert not finds_changes(stack.terraform)


def test_an_object_whose_address_changed_is_neither_imported_nor_deleted(
    stack: Stack, api: KubeApi, tool: Program
) -> None:
    """As after a renamed construct: the state has the same object at another address."""
    before = uid(api, stack.path("a"))
    stack.write("a", address="plan_89ABCDEF")
    assert stack.predicted(tool).planned == ()
    lines: list[str] = []
    assert stack.deploy(lines.append).planned == ()
    address = "kubernetes_config_map_v1.plan_"
    assert lines == [
        f"moving the older entry of {address}0123ABCD in the state to {address}89ABCDEF"
    ]
    assert uid(api, stack.path("a")) == before
    assert not finds_changes(stack.terraform)


def test_a_plan_without_approval_leaves_the_state_as_it_was(
    stack: Stack, api: KubeApi, tool: Program
) -> None:
    monkeypatch = pytest.MonkeyPatch()
    stack.make("b")
    before = uid(api, stack.path("a"))
    stack.write("b")
    entries = stack.terraform.checked("state", "list")
    with pytest.raises(OpsError, match="not approved; nothing was changed"):
        stack.deploy(approve=lambda: False)
    assert stack.terraform.checked("state", "list") == entries

    def killed() -> bool:
        """Answer no, in a process that then moves nothing back."""
        monkeypatch.setattr(stack.terraform, "move", lambda _moves: None)
        return False

    with pytest.raises(OpsError, match="not approved"):
        stack.deploy(approve=killed)
    monkeypatch.undo()
    assert stack.terraform.checked("state", "list") != entries
    stack.write("a")
    assert stack.predicted(tool).planned == ()
    stack.deploy()
    assert uid(api, stack.path("a")) == before
    assert not finds_changes(stack.terraform)


def test_an_object_of_somebody_else_is_refused_until_it_has_our_label(
    stack: Stack, api: KubeApi, tool: Program
) -> None:
    stack.make("b", labels={"app": "another"})
    before = uid(api, stack.path("b"))
    api.request("DELETE", stack.path("a"))
    stack.write("b")
    assert stack.predicted(tool).headline.startswith("1 refused; 1 to add, ")
    state = stack.terraform.checked("state", "pull")
    with pytest.raises(RefusedError, match="nothing was changed") as caught:
        stack.deploy()
    assert f"as ConfigMap {NAMESPACE}/b (exists already, without the label {LABEL}=" in str(
        caught.value
    )
    assert caught.value.exit_code == 3
    assert stack.terraform.checked("state", "pull") == state
    assert uid(api, stack.path("b")) == before

    api.request("PATCH", stack.path("b"), {"metadata": {"labels": {LABEL: "llama-cpp"}}})
    stack.deploy()
    assert uid(api, stack.path("b")) == before
    assert not finds_changes(stack.terraform)


def test_an_object_that_is_being_deleted_is_waited_for(stack: Stack, api: KubeApi) -> None:
    stack.make("b", finalizers=["example.org/kept"])
    before = uid(api, stack.path("b"))
    api.request("DELETE", stack.path("b"))
    stack.write("b")
    with (
        stack.terraform.saved_plan() as plan,
        pytest.raises(OpsError, match=r"ConfigMap adopted/b is still being deleted .*kept\)"),
    ):
        unrecorded.find(plan, stack._target, say=print, timeout_s=0)

    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        api.request("PATCH", stack.path("b"), {"metadata": {"finalizers": None}})

    stack.deploy(say)
    assert lines == ["ConfigMap adopted/b is being deleted; waiting for its end"]
    assert uid(api, stack.path("b")) not in (None, before)
    assert not finds_changes(stack.terraform)


def test_a_plan_says_that_it_could_not_look(
    stack: Stack, tool: Program, cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    """A reader may get fewer objects by name than a plan would create."""
    stack.make("b")
    stack.write("b")
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    elsewhere = KubeTarget(config_path=tmp_path / "kubeconfig", context=cluster.kube_context)
    verdict = stack.predicted(tool, elsewhere)
    assert verdict.counts["replace"] == 1
    assert verdict.note.startswith("Whether objects exist that the state lacks is not known (the")


def test_up_with_the_provider_imports_what_up_without_it_applied(
    cluster: EmbeddedCluster,
    kube: Cluster,
    api: KubeApi,
    target: KubeTarget,
    apart: Path,
    synth: Synth,
) -> None:
    document = synth(prevent_destroy=False)
    apart.mkdir(parents=True)
    (apart / "cdk.tf.json").write_text(json.dumps(document))
    made = manifests(document)
    kube.apply(made)
    before = {object_path(each): uid(api, object_path(each)) for each in made}
    lines: list[str] = []
    way = _deploy(cluster, Terraform(apart), kube, target, made, lines.append)
    assert way.endswith("state in PostgreSQL; a new plan finds no changes")
    assert lines[-1].startswith(f"the state lacks {len(made)} objects that the cluster has")
    assert {path: uid(api, path) for path in before} == before


def test_an_import_that_would_replace_a_claim_is_refused(
    stack: Stack, api: KubeApi, synth: Synth
) -> None:
    claims = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
    body = {
        "metadata": {"name": "models", "labels": labels("models")},
        "spec": {
            "storageClassName": "other",
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    status, answer = api.request("POST", claims, body)
    assert status == 201, answer
    declared = synth(namespace=NAMESPACE, prevent_destroy=False)["resource"]
    resources = stack._document["resource"]
    resources["kubernetes_persistent_volume_claim_v1"] = declared[
        "kubernetes_persistent_volume_claim_v1"
    ]
    for claim in resources["kubernetes_persistent_volume_claim_v1"].values():
        claim["depends_on"] = ["kubernetes_namespace_v1.namespace_177341A3"]
    stack.write("a")
    with pytest.raises(RefusedError, match=r"would remove .*claim.* \(a namespace, volume or"):
        stack.deploy()
    assert uid(api, f"{claims}/models") == answer["metadata"]["uid"]
