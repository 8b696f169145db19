"""Whether a role may write the state, asked before an apply that could not record what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.errors import OpsError

if TYPE_CHECKING:
    from psycopg import Connection

_RIGHTS = """
select current_user, current_setting('transaction_read_only') = 'on',
  (select has_table_privilege(states.oid, 'insert') and has_table_privilege(states.oid, 'update')
     from pg_class states join pg_namespace n on n.oid = states.relnamespace
    where n.nspname = %s and states.relname = 'states')
"""
"""The last column is null where there is no state yet: Terraform's init makes it or fails."""


def check_may_write(connection: Connection[Any], schema: str) -> None:
    """Refuse a role that only reads, such as the plan's.

    Args:
        connection: To the state's database, as that role.
        schema: The PostgreSQL schema of the state.

    Raises:
        OpsError: if it may not write the state, or the server only reads.
    """
    row = connection.execute(_RIGHTS, (schema,)).fetchone()
    role, only_reads, may_write = row or ("?", True, None)
    if only_reads:
        raise OpsError(
            "PostgreSQL only reads (transaction_read_only is on); expected the primary server, "
            "because an apply could not write its state. Correct PG_CONN_STR"
        )
    if may_write is False:
        raise OpsError(
            f"the role {role} may not write the state in schema {schema!r}; an apply would change "
            "the cluster without recording it. Deploy with the role that owns the state"
        )
