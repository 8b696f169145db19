"""The connection to the state's database, in the forms that libpq and Terraform's driver read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ops.errors import OpsError

if TYPE_CHECKING:
    from psycopg import Connection

_BY_BOTH = frozenset(
    {
        *("host", "port", "dbname", "user", "options", "connect_timeout"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslsni"),
        *("application_name", "fallback_application_name", "client_encoding"),
    }
)
"""Parameters that mean the same to both. Terraform's driver, lib/pq 1.10, sends any other one to
the server, which refuses it (conn.go, isDriverSetting)."""
_SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
"""Those of lib/pq (ssl.go)."""
_ENDS_THE_DRIVER = (
    *("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGREALM", "PGREQUIRESSL", "PGSSLCRL"),
    *("PGREQUIREPEER", "PGKRBSRVNAME", "PGGSSLIB", "PGSYSCONFDIR", "PGLOCALEDIR"),
)
"""Variables of libpq that end lib/pq (conn.go, parseEnviron)."""
_CONNECT_TIMEOUT_S = 5
_EXAMPLE = "postgres://terraform@postgresql.dbaas:5432/terraform"


def connection_string() -> str:
    """Return PG_CONN_STR if libpq and Terraform read it alike; empty if only PGHOST is set.

    Raises:
        OpsError: naming the variable and the parameter; never a value, which may be a password.
    """
    text = os.environ.get("PG_CONN_STR", "")
    if not text and not os.environ.get("PGHOST"):
        raise OpsError(
            "PG_CONN_STR is not set; expected the database of Terraform's state, such as "
            f"{_EXAMPLE}. Put the password into PGPASSWORD or PGPASSFILE"
        )
    parameters = _parsed(text)
    if parameters.get("password"):
        raise OpsError(
            "PG_CONN_STR contains a password, which Terraform prints in errors; move it to "
            "PGPASSWORD or PGPASSFILE"
        )
    for name in sorted(parameters.keys() - _BY_BOTH - {"password"}):
        raise OpsError(
            f"PG_CONN_STR has the parameter {name}, which Terraform does not know; expected one "
            f"of {', '.join(sorted(_BY_BOTH))}. Remove it"
        )
    if "," in parameters.get("host", ""):
        raise OpsError("PG_CONN_STR names several hosts; Terraform connects to one. Name one")
    for variable in _ENDS_THE_DRIVER:
        if variable in os.environ:
            raise OpsError(f"{variable} is set, which Terraform does not support. Unset it")
    mode = parameters.get("sslmode") or os.environ.get("PGSSLMODE") or "require"
    if mode not in _SSL_MODES:
        raise OpsError(
            f"sslmode is {mode!r} (PG_CONN_STR or PGSSLMODE); Terraform knows "
            f"{', '.join(_SSL_MODES)}. Use one of them"
        )
    return text


def connect() -> Connection[Any]:
    """Connect to the database, with each statement committed by itself.

    Raises:
        OpsError: naming the variable or the server's answer, never a password.
    """
    import psycopg

    conn_str = connection_string()
    try:
        return psycopg.connect(conn_str, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
    except psycopg.Error as error:
        raise OpsError(
            f"PostgreSQL refuses the connection ({_reason(error)}); check PG_CONN_STR, "
            "PGPASSWORD and PGSSLMODE"
        ) from error


def _reason(error: Exception) -> str:
    """Return the first line: libpq tries each address, and its later lines are hints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else type(error).__name__


def _parsed(text: str) -> dict[str, str]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except psycopg.Error as error:
        raise OpsError(
            f"PG_CONN_STR cannot be read; expected an address such as {_EXAMPLE}, or "
            "'host=... user=... dbname=...'"
        ) from error
