"""What `doctor --cluster` says of the database, and of servers that do not answer."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from llama_swap_config.cluster.storage import NfsStorage
from ops.commands.doctor.cluster import volumes
from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.run import Terraform
from tests.fakes.api_server import kubeconfig
from tests.real.doctor.conftest import Doctor
from tests.real.plan.reader import as_role

SCHEMA = "llama-cpp"
STATE = f"state in schema {SCHEMA}"
RIGHTS = "rights in PostgreSQL"
OURS = {"app.kubernetes.io/part-of": "llama-cpp"}


def resource(address: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    *module, kind, name = address.rsplit(".", 2)
    metadata = {"name": "llama-cpp"} if "namespace" in kind else {"namespace": "llama-cpp"}
    if not kind.startswith("kubernetes"):
        metadata = {"name": "llama-cpp", "namespace": "media"}
    return {
        "mode": "managed",
        "type": kind,
        "name": name,
        "instances": [{"attributes": {"metadata": [metadata | {"labels": labels}]}}],
    } | ({"module": module[0]} if module else {})


@pytest.fixture
def admin(cluster: EmbeddedCluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.pg_conn_str, autocommit=True) as connection:
        yield connection
        connection.execute(f'drop schema if exists "{SCHEMA}" cascade'.encode())


@pytest.fixture
def store(admin: psycopg.Connection) -> Callable[[str], None]:
    """Put a state into the table, as Terraform's backend keeps it."""

    def put(text: str) -> None:
        admin.execute(f'create schema "{SCHEMA}"'.encode())
        admin.execute(f'create table "{SCHEMA}".states (id int, name text, data text)'.encode())
        admin.execute(
            f'insert into "{SCHEMA}".states values (1, %s, %s)'.encode(), ("default", text)
        )

    return put


@pytest.fixture
def role(
    doctor: Doctor,
    admin: psycopg.Connection,
    cluster: EmbeddedCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Be a role without rights."""
    admin.execute("create role deployer login")
    monkeypatch.setenv("PG_CONN_STR", as_role(cluster.pg_conn_str, "deployer"))
    yield
    admin.execute("drop owned by deployer cascade; drop role deployer")


@pytest.mark.parametrize(
    ("addresses", "found", "remedy"),
    [
        (
            ["aws_instance.web", "module.net.aws_vpc.main", "a_b.c", "a_b.d"],
            "4 objects not of this stack: aws_instance.web, module.net.aws_vpc.main, a_b.c, ...",
            "set state_schema in stacks/production.py",
        ),
        (
            ["kubernetes_namespace.llama_cpp"],
            "1 object not of this stack: kubernetes_namespace.llama_cpp",
            "`python -m ops adopt` takes over",
        ),
        (
            ["module.web.kubernetes_service.this"],
            "1 object not of this stack: module.web.kubernetes_service.this",
            "`python -m ops adopt` takes over",
        ),
    ],
)
def test_a_schema_with_other_objects(
    doctor: Doctor, store: Callable[[str], None], addresses: list[str], found: str, remedy: str
) -> None:
    data = resource("data.x.y") | {"mode": "data"}
    store(json.dumps({"resources": [data, *map(resource, addresses)]}))
    check = doctor.run().blocks(STATE)
    assert check["found"] == found
    assert remedy in check["remedy"]


def test_addresses_like_ours_without_our_label_are_not_ours(
    doctor: Doctor, store: Callable[[str], None]
) -> None:
    ours, theirs = (
        resource("kubernetes_namespace_v1.namespace_0A1B2C3D", OURS),
        resource("kubernetes_secret_v1.other_0A1B2C3D", {"app.kubernetes.io/part-of": "other"}),
    )
    store(json.dumps({"resources": [ours, theirs]}))
    found = doctor.run().blocks(STATE)["found"]
    assert found == "1 object not of this stack: kubernetes_secret_v1.other_0A1B2C3D"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"serial": 1, "encrypted_data": "x", "encryption_version": "v0"}', "TF_ENCRYPTION"),
        ("not JSON", "not readable"),
        ("[1]", "not readable"),
        ('{"resources": [1]}', "not readable"),
        ('{"resources": [{"mode": "managed", "instances": []}]}', "not readable"),
    ],
)
def test_a_state_that_cannot_be_read_is_not_known(
    doctor: Doctor, store: Callable[[str], None], text: str, why: str
) -> None:
    store(text)
    result = doctor.run()
    assert result.code == 1
    assert result.verdicts("blocks", "not known") == [STATE]
    assert why in result.checks[STATE]["remedy"]
    assert result.error.startswith(f"error: {STATE}: not known, because ")


@pytest.mark.usefixtures("role")
def test_the_printed_grants_let_terraform_prepare_the_state(
    doctor: Doctor, admin: psycopg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "main.tf.json").write_text(
        json.dumps({"terraform": {"backend": {"pg": {"schema_name": SCHEMA}}}})
    )
    terraform = Terraform(tmp_path)
    granted = 0
    while (result := doctor.run()).code:
        assert terraform.run("init", "-input=false").returncode == 1
        admin.execute(result.blocks(RIGHTS)["remedy"].split("`")[1].encode())
        granted += 1
    assert granted == 1
    assert terraform.run("init", "-input=false").returncode == 0
    assert doctor.run().checks[STATE]["found"] == "nothing yet"
    admin.execute("revoke create on schema public from deployer")
    assert terraform.run("init", "-input=false", "-reconfigure").returncode == 1
    assert doctor.run().blocks(RIGHTS)["remedy"] == (
        "Let the owner of the database run `grant create on schema public to deployer;`."
    )


@pytest.mark.usefixtures("role")
def test_a_role_that_may_not_read_the_state(
    doctor: Doctor, store: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store("{}")
    for what in ("SCHEMA", "TABLE"):
        monkeypatch.setenv(f"PG_SKIP_{what}_CREATION", "true")
    result = doctor.run()
    assert "may not write the state" in result.checks[RIGHTS]["remedy"]
    assert "permission denied" in result.checks[STATE]["remedy"]


def test_no_postgresql(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    dead = f"postgres://terraform@127.0.0.1:{free_port}/terraform?sslmode=disable"
    monkeypatch.setenv("PG_CONN_STR", dead)
    result = doctor.run()
    assert result.verdicts("blocks", "not known") == ["PostgreSQL", f"{RIGHTS}, {STATE}"]
    assert result.error.startswith("error: PostgreSQL refuses the connection")
    monkeypatch.delenv("PG_CONN_STR")
    assert "error: PG_CONN_STR is not set" in doctor.run().error


def test_servers_that_hang_are_given_up_together(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as sockets:

        def hanging(*, backlog: int = 10) -> int:
            server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
            port: int = server.getsockname()[1]
            return port

        path = kubeconfig(tmp_path, f"https://127.0.0.1:{hanging()}")
        monkeypatch.setenv("KUBE_CONFIG_PATH", str(path))
        monkeypatch.setenv("KUBE_CTX", "home")
        pg_conn_str = f"postgres://x@127.0.0.1:{hanging()}/x?sslmode=disable"
        monkeypatch.setenv("PG_CONN_STR", pg_conn_str)
        full = hanging(backlog=0)
        # The kernel drops the next client's SYN once the queue of the port is full.
        sockets.enter_context(socket.create_connection(("127.0.0.1", full)))
        monkeypatch.setattr(volumes, "_NFS_PORT", full)
        doctor.declare(storage=NfsStorage(server="127.0.0.1", path="/srv/models"))
        started = time.monotonic()
        result = doctor.run()
    assert time.monotonic() - started < 30
    assert result.verdicts("hint") == ["NFS server"]
    assert result.checks["NFS server"]["found"] == "does not answer (timed out)"
    assert result.verdicts("blocks") == ["API server", "PostgreSQL"]
    assert result.verdicts("not known") == ["everything else in the cluster", f"{RIGHTS}, {STATE}"]
    assert "error: the API server of KUBE_CTX 'home' does not answer" in result.error
