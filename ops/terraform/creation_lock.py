"""One deploy at a time creates a schema and its first state.

Terraform locks a state that exists. Before that, two deploys at once collide when they create the
schema, or both push an empty state; and Terraform and OpenTofu lock a creation in different ways.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ops.errors import OpsError, reason_of
from ops.report.terminal import Say
from ops.terraform.state_connection import connect
from ops.terraform.state_rights import check_may_write

_OURS = 0x6C6C616D
"""First half of the lock's key. Terraform's keys have one half, so they never meet ours."""


@contextmanager
def creation_lock(schema: str, *, say: Say, timeout_s: float = 60) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock of a schema; it ends with this process at the latest.

    Args:
        schema: The PostgreSQL schema of the state.
        say: Receives a line if another deploy holds the lock.
        timeout_s: Seconds to wait for it.

    Raises:
        OpsError: if PostgreSQL refuses, the role may not write the state, or another deploy holds
            the lock for longer.
    """
    import psycopg

    key = (_OURS, zlib.crc32(schema.encode()) - 2**31)
    with connect() as connection:
        try:
            tried = connection.execute("select pg_try_advisory_lock(%s, %s)", key).fetchone()
            if tried != (True,):
                say(f"another deploy prepares the state in schema {schema!r}; waiting for it")
                milliseconds = str(round(timeout_s * 1000))
                connection.execute("select set_config('lock_timeout', %s, false)", (milliseconds,))
                connection.execute("select pg_advisory_lock(%s, %s)", key)
            check_may_write(connection, schema)
        except psycopg.errors.LockNotAvailable as error:
            raise OpsError(
                f"another deploy has prepared the state in schema {schema!r} for more than "
                f"{timeout_s:.3g} s; nothing was changed. Deploy again when it has ended"
            ) from error
        except psycopg.Error as error:
            raise OpsError(f"PostgreSQL refuses a lock ({reason_of(error)})") from error
        try:
            yield
        finally:
            # A server notices a closed connection a moment later.
            with suppress(psycopg.Error):
                connection.execute("select pg_advisory_unlock(%s, %s)", key)
