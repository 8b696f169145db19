"""A role that may not write the state deploys nothing, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from ops.errors import OpsError
from ops.terraform.creation_lock import creation_lock
from tests.real.plan.reader import DOCS, as_role

SCHEMA = "llama-cpp"


@pytest.fixture(scope="module")
def state(postgresql: str) -> Iterator[str]:
    """A database with a state, and the reader of docs/ci."""
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f'create schema "{SCHEMA}"'.encode())
        admin.execute(f'create table "{SCHEMA}".states (id int, name text, data text)'.encode())
        admin.execute((DOCS / "plan-reader.sql").read_bytes())
        yield postgresql
        admin.execute(f'drop schema "{SCHEMA}" cascade; drop owned by plan_reader'.encode())
        admin.execute(b"drop role plan_reader")


@pytest.fixture
def deploy_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def deploy(conn_str: str) -> None:
        monkeypatch.setenv("PG_CONN_STR", conn_str)
        with creation_lock(SCHEMA, say=print):
            pass

    return deploy


def test_the_owner_of_the_state_may_deploy(state: str, deploy_as: Callable[[str], None]) -> None:
    deploy_as(state)


def test_a_database_without_a_state_is_for_terraform_to_prepare(
    state: str, deploy_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_CONN_STR", as_role(state, "plan_reader"))
    with creation_lock("another", say=print):
        pass


def test_the_plans_reader_is_refused(state: str, deploy_as: Callable[[str], None]) -> None:
    with pytest.raises(OpsError) as caught:
        deploy_as(as_role(state, "plan_reader"))
    assert str(caught.value) == (
        "the role plan_reader may not write the state in schema 'llama-cpp'; an apply would "
        "change the cluster without recording it. Deploy with the role that owns the state"
    )


def test_a_server_that_only_reads_is_refused(
    state: str, deploy_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    with pytest.raises(OpsError, match="PostgreSQL only reads"):
        deploy_as(state)
