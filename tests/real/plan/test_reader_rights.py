"""What the accounts of docs/ci may do, asked of a real API server and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from llama_swap_config.cluster.terraform_names import KINDS
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.paths import object_path, plural
from ops.cluster.server_side_apply import Cluster
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.manifests import manifests
from tests.conftest import Synth
from tests.declaration.settings import EXISTING_GATEWAY, WITH_KEY
from tests.real.plan.reader import DOCS, NAMESPACE, account, as_role, create_namespace

NAMESPACED = (
    "api/v1 configmaps",
    "api/v1 persistentvolumeclaims",
    "api/v1 serviceaccounts",
    "api/v1 services",
    "apis/apps/v1 deployments",
    "apis/batch/v1 cronjobs",
    "apis/batch/v1 jobs",
    "apis/networking.k8s.io/v1 networkpolicies",
    "apis/rbac.authorization.k8s.io/v1 rolebindings",
    "apis/rbac.authorization.k8s.io/v1 roles",
)


@pytest.fixture(scope="module")
def readers(
    cluster: EmbeddedCluster, kube: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, KubeTarget]:
    directory = tmp_path_factory.mktemp("readers")
    create_namespace(kube, NAMESPACE)
    names = ("plan-reader", "drift-reader")
    return {name: account(cluster, kube, name, directory) for name in names}


@pytest.fixture(params=["plan-reader", "drift-reader"])
def reader(readers: dict[str, KubeTarget], request: pytest.FixtureRequest) -> Iterator[KubeApi]:
    with KubeApi(readers[request.param]) as api:
        yield api


def test_the_reader_reads_the_kinds_of_the_stack() -> None:
    documents = yaml.safe_load_all((DOCS / "plan-reader.yaml").read_text())
    granted = {
        resource
        for document in documents
        for rule in document.get("rules", ())
        for resource in rule["resources"]
    }
    of_the_window = {"serviceaccounts", "roles", "rolebindings"}
    assert granted == {plural(kind) for _, kind in KINDS.values()} | of_the_window


def test_the_reader_reads_every_declared_object(reader: KubeApi, synth: Synth) -> None:
    for manifest in manifests(synth(gateway=EXISTING_GATEWAY, **WITH_KEY)):
        path = object_path(manifest)
        # Not there is an answer; forbidden is none.
        assert reader.request("GET", path)[0] in (200, 404), path
        if "namespace" in manifest["metadata"]:
            assert reader.request("GET", path.rpartition("/")[0])[0] == 200, path
    reader.check_reachable()


def test_drift_reads_whether_the_tenant_waits_for_the_card(
    readers: dict[str, KubeTarget],
) -> None:
    with KubeApi(readers["drift-reader"]) as api:
        tenant = "/apis/apps/v1/namespaces/immich/deployments/immich-machine-learning"
        assert api.request("GET", tenant)[0] == 200
        assert api.request("GET", "/api/v1/namespaces/immich/pods")[0] == 200
        assert api.request("PATCH", f"{tenant}/scale", {"spec": {"replicas": 0}})[0] == 403


@pytest.mark.parametrize("kind", NAMESPACED)
def test_every_write_of_these_kinds_is_refused(reader: KubeApi, kind: str) -> None:
    root, resource = kind.split()
    collection = f"/{root}/namespaces/{NAMESPACE}/{resource}"
    for method, path in (
        ("POST", collection),
        ("PUT", f"{collection}/llama-swap"),
        ("PATCH", f"{collection}/llama-swap"),
        ("DELETE", f"{collection}/llama-swap"),
        ("DELETE", collection),
    ):
        assert reader.request(method, path, {"metadata": {"name": "llama-swap"}})[0] == 403, path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/namespaces/llama-cpp/secrets"),
        ("GET", "/api/v1/namespaces/llama-cpp/secrets/api-keys"),
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces"),
        ("GET", "/api/v1/namespaces/default"),
        ("GET", "/api/v1/persistentvolumes"),
        ("GET", "/api/v1/persistentvolumes/another"),
        ("GET", "/api/v1/namespaces/immich/configmaps"),
        ("GET", "/api/v1/nodes"),
        ("PATCH", "/api/v1/namespaces/llama-cpp"),
        ("PATCH", "/api/v1/persistentvolumes/llama-cpp-models"),
        ("PATCH", "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap/scale"),
        ("POST", "/api/v1/namespaces/llama-cpp/pods"),
        ("POST", "/api/v1/namespaces/llama-cpp/pods/llama-swap/exec"),
        ("POST", "/api/v1/namespaces/llama-cpp/serviceaccounts/default/token"),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/llama-cpp/leases/gpu-window"),
    ],
)
def test_other_kinds_are_refused(reader: KubeApi, method: str, path: str) -> None:
    assert reader.request(method, path, {"metadata": {}} if method != "GET" else None)[0] == 403


@pytest.mark.parametrize("namespace", [NAMESPACE, "immich", "default", "kube-system"])
@pytest.mark.parametrize(
    ("name", "writes"),
    [("plan-reader", set()), ("drift-reader", {("create", "pods/portforward")})],
)
def test_the_reader_may_only_get_and_list(
    readers: dict[str, KubeTarget], name: str, writes: set[tuple[str, str]], namespace: str
) -> None:
    """Of the API server's own list, so that nothing is overlooked."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    with KubeApi(readers[name]) as api:
        status, answer = api.request(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review
        )
    assert status == 201
    # Everybody may ask what he may do, and who he is.
    about_itself = {"authorization.k8s.io", "authentication.k8s.io"}
    rules = [
        rule
        for rule in answer["status"]["resourceRules"]
        if not set(rule["apiGroups"]) <= about_itself
    ]
    allowed = {
        (verb, resource)
        for rule in rules
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert allowed
    expected = writes if namespace == NAMESPACE else set()
    assert {right for right in allowed if right[0] not in ("get", "list")} == expected
    assert not {resource for _, resource in allowed if "secret" in resource or "*" in resource}


def test_only_the_drift_reader_sees_pods_and_the_lease(readers: dict[str, KubeTarget]) -> None:
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/gpu-window"
    for name, statuses in (("plan-reader", [403, 403]), ("drift-reader", [200, 404])):
        with KubeApi(readers[name]) as api:
            assert [api.request("GET", path)[0] for path in (pods, lease)] == statuses


@pytest.fixture
def state(cluster: EmbeddedCluster) -> Iterator[psycopg.Connection]:
    """The database as a deploying role leaves it, and the reader's file run on it twice."""
    with psycopg.connect(cluster.pg_conn_str, autocommit=True) as admin:
        admin.execute(
            """
            drop role if exists terraform;
            create role terraform login;
            create schema "llama-cpp" authorization terraform;
            create schema "another";
            create table another.states (data text);
            set role terraform;
            create table "llama-cpp".states (id bigint primary key, name text, data text);
            insert into "llama-cpp".states values (1, 'default', '{}');
            reset role;
            """
        )
        for _ in range(2):
            admin.execute((DOCS / "plan-reader.sql").read_bytes())
        yield admin
        admin.execute('drop schema "llama-cpp", another cascade')
        admin.execute("drop owned by plan_reader, terraform; drop role plan_reader, terraform")


@pytest.fixture
def plan_reader(
    cluster: EmbeddedCluster, state: psycopg.Connection
) -> Iterator[psycopg.Connection]:
    conn_str = as_role(cluster.pg_conn_str, "plan_reader")
    with psycopg.connect(conn_str, autocommit=True) as connection:
        yield connection


def test_the_role_reads_the_state_and_what_is_added_later(
    state: psycopg.Connection, plan_reader: psycopg.Connection
) -> None:
    read = 'select name from "llama-cpp".states'
    assert plan_reader.execute(read).fetchall() == [("default",)]
    state.execute('set role terraform; create table "llama-cpp".later (a int); reset role')
    assert plan_reader.execute('select * from "llama-cpp".later').fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        """insert into "llama-cpp".states values (2, 'other', '{}')""",
        """update "llama-cpp".states set data = ''""",
        'delete from "llama-cpp".states',
        'select * from "llama-cpp".states for update',
        'truncate "llama-cpp".states',
        'drop table "llama-cpp".states',
        'create table "llama-cpp".mine (a int)',
        "create table public.mine (a int)",
        "create sequence public.global_states_id_seq",
        "create schema mine",
        "create role mine",
        "set role terraform",
        "select * from another.states",
        "select pg_read_file('/etc/passwd')",
    ],
)
def test_the_role_may_do_nothing_else(plan_reader: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        plan_reader.execute(statement)


def test_before_the_first_deploy_the_file_says_what_is_missing(
    cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    with psycopg.connect(cluster.pg_conn_str) as admin:
        with pytest.raises(psycopg.errors.InvalidSchemaName, match='"llama-cpp" does not exist'):
            admin.execute((DOCS / "plan-reader.sql").read_bytes())
        admin.rollback()
