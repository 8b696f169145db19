"""Wait for whoever holds the lock of a state, and say who that is.

Terraform waits for the lock without a word, and then shows the one that waits instead of the one
that holds it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ops.errors import OpsError, reason_of
from ops.report.terminal import Say
from ops.report.words import duration
from ops.terraform.state_connection import connect

_LOOK_EVERY_S = 0.5
_STATE = "select id from {} where name = 'default'"
_HOLDER = """
select lock.pid,
       case when holder.backend_start is null then 'an address that this role may not see'
            else coalesce(host(holder.client_addr), 'a local socket') end,
       extract(epoch from now() - holder.backend_start)::float
from pg_locks lock left join pg_stat_activity holder using (pid)
where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 1
  and lock.database = (select oid from pg_database where datname = current_database())
  and (lock.classid::bigint << 32) + lock.objid::bigint = %s
"""
"""Both tools lock the key that is the id of the state's row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A connection to PostgreSQL that holds the lock of a state."""

    pid: int
    """PostgreSQL's process."""
    address: str
    """Where the connection comes from."""
    age_s: float
    """How long the connection has been open."""

    def __str__(self) -> str:
        return f"from {self.address}, for {duration(self.age_s)}, PostgreSQL's process {self.pid}"


def wait_for_lock(schema: str, *, say: Say, timeout_s: float = 300) -> None:
    """Wait until nobody holds the lock of a state.

    Args:
        schema: The PostgreSQL schema of the state.
        say: Receives a line if somebody holds it.
        timeout_s: Seconds to wait.

    Raises:
        OpsError: if PostgreSQL refuses, or somebody holds the lock for longer.
    """
    deadline = time.monotonic() + timeout_s
    is_said = False
    while (holder := find_holder(schema)) is not None:
        if not is_said:
            say(f"another deploy holds the lock of schema {schema!r} ({holder}); waiting for it")
            is_said = True
        if time.monotonic() > deadline:
            raise OpsError(
                f"another deploy has held the lock of schema {schema!r} for more than "
                f"{timeout_s:.3g} s ({holder}); nothing was changed. Deploy again when it has "
                "ended. If its machine is gone, end its connection: "
                f"select pg_terminate_backend({holder.pid})"
            )
        time.sleep(_LOOK_EVERY_S)


def find_holder(schema: str) -> Holder | None:
    """Return who holds the lock of a state; None if nobody does, or there is no state.

    Raises:
        OpsError: if PostgreSQL refuses.
    """
    import psycopg
    from psycopg import sql

    try:
        with connect() as connection:
            states = sql.SQL(_STATE).format(sql.Identifier(schema, "states"))
            try:
                row = connection.execute(states).fetchone()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                return None
            held = None if row is None else connection.execute(_HOLDER, (row[0],)).fetchone()
    except psycopg.Error as error:
        raise OpsError(f"PostgreSQL does not show its locks ({reason_of(error)})") from error
    if held is None:
        return None
    pid, address, age_s = held
    return Holder(pid=pid, address=address, age_s=age_s or 0)
