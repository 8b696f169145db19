"""What `doctor --cluster` says of an account, and that what it asks for is enough for a deploy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from llama_swap_config.cluster.upkeep import Upkeep
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.rollout import Rollout, follow
from ops.cluster.server_side_apply import Cluster
from ops.commands.deploy.run import apply_as_shown, verify
from ops.commands.doctor.cluster.rights import Right, granted, needed
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import manifests
from ops.terraform.run import Terraform
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.real.deploy.running_provider import VARIABLE, address_for, running
from tests.real.doctor.conftest import Doctor, printed
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.plan.reader import log_in
from tests.real.plan.test_reader import write

RBAC = "rbac.authorization.k8s.io"
HOME = "default"
OURS = {"app.kubernetes.io/part-of": "llama-cpp"}
Grant = Callable[[str, Iterable[Right]], None]


def rule(right: Right) -> dict[str, Any]:
    names = {"resourceNames": [right.name]} if right.name else {}
    return {
        "apiGroups": [right.group],
        "resources": [right.resource],
        "verbs": [right.verb],
    } | names


@pytest.fixture
def grant(kube: Cluster) -> Grant:
    """Make an account with these rights and no other."""

    def make(name: str, rights: Iterable[Right]) -> None:
        of_namespace: dict[str, list[dict[str, Any]]] = {}
        for right in rights:
            of_namespace.setdefault(right.namespace, []).append(rule(right))
        subject = {"kind": "ServiceAccount", "name": name, "namespace": HOME}
        home = {"name": name, "namespace": HOME}
        objects: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": home}
        ]
        for namespace, rules in of_namespace.items():
            where = {"name": name} | ({"namespace": namespace} if namespace else {})
            kind = "Role" if namespace else "ClusterRole"
            api_version = f"{RBAC}/v1"
            objects += [
                {"apiVersion": api_version, "kind": kind, "metadata": where, "rules": rules},
                {
                    "apiVersion": api_version,
                    "kind": f"{kind}Binding",
                    "metadata": where,
                    "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
                    "subjects": [subject],
                },
            ]
        kube.apply(objects)

    return make


@pytest.fixture
def use(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], KubeTarget]:
    def log_in_as(name: str) -> KubeTarget:
        target = log_in(cluster, HOME, name, tmp_path)
        monkeypatch.setenv("KUBE_CONFIG_PATH", str(target.config_path))
        return target

    return log_in_as


@pytest.fixture(autouse=True)
def emptied(shared_cluster: SharedCluster) -> Iterator[None]:
    yield
    shared_cluster.empty()


@pytest.fixture
def namespace(kube: Cluster) -> None:
    """The endpoint's, where an account's Role has to be before the first deploy."""
    metadata = {"name": SETTINGS.namespace, "labels": OURS}
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])


def rights_of(doctor: Doctor) -> tuple[Right, ...]:
    objects = manifests(doctor.synth(storage=doctor.nfs))
    return (*needed(objects), *granted(objects))


def test_an_account_without_rights_is_told_what_it_may_not(
    doctor: Doctor, grant: Grant, use: Callable[[str], KubeTarget]
) -> None:
    grant("nobody", ())
    use("nobody")
    result = doctor.run()
    assert result.code == 1
    assert result.checks["API server"]["verdict"] == "ok"
    assert result.checks["account"]["found"] == "system:serviceaccount:default:nobody"
    scopes = ["rights in the cluster", "rights in llama-cpp", "rights in immich"]
    assert result.verdicts("blocks") == scopes
    in_immich = result.checks["rights in immich"]
    assert in_immich["remedy"].startswith(
        "This account may not create, get, patch, delete roles, rolebindings in immich, and may "
        "not grant get deployments immich-machine-learning; patch deployments/scale "
        "immich-machine-learning; list pods in immich, as a Role of the stack does."
    )
    unknown = result.verdicts("not known")
    assert {"GPU node", "runtime class", "storage", "names of the objects"} <= set(unknown)
    for name in unknown:
        assert "403" in result.checks[name]["remedy"]
    assert result.error.startswith("error: rights in the cluster: ")
    asked = printed(in_immich)
    assert (asked.returncode, asked.stdout) == (1, "no\n")


@pytest.mark.usefixtures("namespace")
def test_one_missing_right_is_named(
    doctor: Doctor, grant: Grant, use: Callable[[str], KubeTarget]
) -> None:
    grant("almost", [each for each in rights_of(doctor) if each.resource != "cronjobs"])
    use("almost")
    result = doctor.run()
    assert result.verdicts("blocks") == ["rights in llama-cpp"]
    check = result.checks["rights in llama-cpp"]
    assert check["found"] == "5 of 50 denied"
    assert check["remedy"].startswith(
        "This account may not create, get, update, delete cronjobs in llama-cpp, and may not "
        "grant get cronjobs model-upkeep in llama-cpp, as a Role of the stack does. Let"
    )


@pytest.mark.usefixtures("namespace")
def test_who_may_escalate_and_bind_may_grant(
    doctor: Doctor, grant: Grant, use: Callable[[str], KubeTarget]
) -> None:
    own = needed(manifests(doctor.synth(storage=doctor.nfs)))
    grant("plain", own)
    use("plain")
    check = doctor.run().checks["rights in immich"]
    assert check["remedy"].startswith("This account may not grant get deployments")
    over_roles = [
        Right(verb=verb, group=RBAC, resource="roles", namespace=namespace)
        for verb in ("escalate", "bind")
        for namespace in ("llama-cpp", "immich")
    ]
    grant("delegate", (*own, *over_roles))
    use("delegate")
    assert doctor.run().verdicts("blocks") == []


def test_refused_credentials(
    doctor: Doctor, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "expired"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(path))
    result = doctor.run()
    assert result.verdicts("blocks", "not known") == [
        "API server",
        "everything else in the cluster",
    ]
    assert "refuses the credentials (401: Unauthorized); renew" in result.error
    assert result.checks["PostgreSQL"]["verdict"] == "ok"


@pytest.mark.usefixtures("namespace")
def test_the_rights_that_are_asked_for_suffice_for_a_deploy(
    doctor: Doctor,
    grant: Grant,
    use: Callable[[str], KubeTarget],
    provider: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of everything, and of a change that replaces, updates and deletes."""
    changed = {"upkeep": Upkeep(schedule="0 4 * * *"), "warm_wait_s": None}
    first, *others = REGISTRY
    documents = (
        doctor.synth(storage=doctor.nfs),
        doctor.synth(
            models=(replace(first, context=4096), *others[:1]), storage=doctor.nfs, **changed
        ),
    )
    grant("deployer", rights_of(doctor))
    target = use("deployer")
    assert doctor.run().verdicts("blocks") == []
    access = {"KUBE_CONFIG_PATH": str(target.config_path), "KUBE_CTX": target.context}
    with running(provider, tmp_path / "log", access) as address:
        for number, document in enumerate(documents):
            terraform = Terraform(write(tmp_path / str(number), document))
            monkeypatch.setenv(VARIABLE, address_for(address, terraform.program.tool))
            terraform.init_for_apply(say=print)
            apply_as_shown(
                terraform,
                target=target,
                show=lambda *_: None,
                approve=lambda: True,
                quiet=True,
                say=print,
            )
            verify(terraform)
            with KubeApi(target) as api:
                rollout = Rollout(api, manifests(document), resource=SETTINGS.gpu.resource)
                assert follow((rollout,), wait_s=30, say=print).failed == ()
    own = manifests(documents[1])
    doctor.declare(**changed)
    state = doctor.run().checks["state in schema llama-cpp"]
    assert (state["verdict"], state["found"]) == ("ok", f"this stack's {len(own)} objects")
