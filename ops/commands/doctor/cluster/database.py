"""Whether PostgreSQL keeps the state of this stack, and of nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ops.commands.doctor.cluster.check import EDIT, Check, not_known
from ops.errors import OpsError, reason_of
from ops.report.words import count
from ops.terraform.state_connection import connect
from ops.terraform.state_rights import check_may_write
from ops.terraform.verdict import is_ours_at

if TYPE_CHECKING:
    from psycopg import Connection

_STATEMENT_TIMEOUT = b"set statement_timeout = '5s'"
_MOST_NAMED = 3
_RIGHTS = """
select quote_ident(current_user), quote_ident(current_database()), quote_ident(%(schema)s),
  has_database_privilege(current_database(), 'create'),
  has_schema_privilege(to_regnamespace(quote_ident(%(schema)s)), 'create'),
  has_schema_privilege('public', 'create')
"""
"""The fifth column is null where the schema does not exist yet."""
_TABLE = "select to_regclass(quote_ident(%s) || '.states')"


def checks(schema: str, namespace: str) -> Iterator[Check]:
    """Check the database of PG_CONN_STR.

    Args:
        schema: The PostgreSQL schema of the state.
        namespace: The endpoint's.
    """
    rights, state = "rights in PostgreSQL", f"state in schema {schema}"
    try:
        connection = connect()
    except OpsError as error:
        yield Check(
            name="PostgreSQL", found="", wanted="answers", status="wrong", remedy=str(error)
        )
        yield not_known(f"{rights}, {state}", "see PostgreSQL")
        return
    with connection:
        version = connection.info.server_version
        yield Check(
            name="PostgreSQL", found=f"{version // 10000}.{version % 10000}", wanted="answers"
        )
        yield from _answered(connection, rights, _rights(connection, rights, schema))
        yield from _answered(connection, state, _state(connection, state, schema, namespace))


def _answered(connection: Connection[Any], name: str, checks: Iterable[Check]) -> Iterator[Check]:
    """Make checks; what PostgreSQL refuses to tell, or does not tell in time, is not known."""
    import psycopg

    try:
        connection.execute(_STATEMENT_TIMEOUT)
        yield from checks
    except psycopg.Error as error:
        yield not_known(name, f"PostgreSQL does not tell ({reason_of(error)})")


def _rights(connection: Connection[Any], name: str, schema: str) -> Iterator[Check]:
    """Check what Terraform's backend does at each start.

    It creates schema, table and index `if not exists`, and their counter in the schema public;
    PostgreSQL asks for the right to create a thing also where it exists.
    """
    row = connection.execute(_RIGHTS, {"schema": schema}).fetchone()
    assert row is not None  # noqa: S101 - for the type checker.
    role, database, quoted, in_database, in_schema, in_public = row
    statements = []
    if in_schema is None and not in_database and not _skips("SCHEMA"):
        statements.append(f"grant create on database {database} to {role}")
    if not _skips("TABLE"):
        if in_schema is False:
            statements.append(f"grant create on schema {quoted} to {role}")
        if not in_public:
            statements.append(f"grant create on schema public to {role}")
    remedy = f"Let the owner of the database run `{'; '.join(statements)};`." if statements else ""
    try:
        check_may_write(connection, schema)
    except OpsError as error:
        remedy = f"{error}."
    yield Check(
        name=name,
        found=f"{role} {'cannot' if remedy else 'can'} store the state",
        wanted="a role that can",
        status="wrong" if remedy else "ok",
        remedy=remedy,
    )


def _skips(what: str) -> bool:
    """Whether a variable tells Terraform's backend not to create something."""
    return os.environ.get(f"PG_SKIP_{what}_CREATION", "").lower() in ("1", "t", "true")


def _state(connection: Connection[Any], name: str, schema: str, namespace: str) -> Iterator[Check]:
    from psycopg import sql

    text = None
    if connection.execute(_TABLE, (schema,)).fetchone() != (None,):
        query = sql.SQL("select data from {}.states where name = 'default'")
        row = connection.execute(query.format(sql.Identifier(schema))).fetchone()
        text = None if row is None else row[0]
    try:
        document = json.loads(text or "{}")
        resources = document.get("resources") or ()
        managed = [each for each in resources if each.get("mode") == "managed"]
        foreign = [each for each in managed if not _is_ours(each)]
        named = [
            *map(_address, foreign[:_MOST_NAMED]),
            *(["..."] if foreign[_MOST_NAMED:] else []),
        ]
        is_here = any(namespace in _namespaces(each) for each in foreign)
    except (ValueError, AttributeError, KeyError, TypeError):
        yield not_known(name, "it is not readable as a state of Terraform")
        return
    if "encrypted_data" in document:
        yield not_known(name, "OpenTofu has encrypted it (TF_ENCRYPTION)")
        return
    yield Check(
        name=name,
        found=f"{count(len(foreign), 'object')} not of this stack: {', '.join(named)}"
        if foreign
        else f"this stack's {count(len(managed), 'object')}"
        if managed
        else "nothing yet",
        wanted="nothing yet, or this stack's",
        status="wrong" if foreign else "ok",
        remedy=f"Some are in namespace {namespace}: `python -m ops adopt` takes over an endpoint "
        "that runs already, after it has shown how."
        if is_here
        else f"It is another project's: set state_schema {EDIT} to a name that no schema has.",
    )


def _address(resource: dict[str, Any]) -> str:
    module = f"{resource['module']}." if "module" in resource else ""
    return f"{module}{resource['type']}.{resource['name']}"


def _is_ours(resource: dict[str, Any]) -> bool:
    """Whether this stack made it, by its address and its label."""
    return all(
        is_ours_at(_address(resource), metadata.get("labels") or {})
        for metadata in _metadata(resource) or [{}]
    )


def _namespaces(resource: dict[str, Any]) -> set[str]:
    """The namespaces that its objects are in, or are."""
    key = "name" if resource["type"].startswith("kubernetes_namespace") else "namespace"
    return {str(metadata.get(key)) for metadata in _metadata(resource)}


def _metadata(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        metadata
        for instance in resource.get("instances") or ()
        for metadata in (instance.get("attributes") or {}).get("metadata") or ()
        if isinstance(metadata, dict)
    ]
