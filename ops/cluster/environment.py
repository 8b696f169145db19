"""Check PostgreSQL, the cluster and Terraform before a command changes anything.

For a variable that is not set, Terraform reports "connection refused"; these checks name it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from ops.errors import OpsError, reason_of

_CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeTarget:
    """The kubeconfig and the context of a command."""

    config_path: Path
    context: str


def check_postgresql() -> None:
    """Check that PostgreSQL accepts a connection.

    Raises:
        OpsError: naming the variable or the server's answer, never a password.
    """
    conn_str = os.environ.get("PG_CONN_STR", "")
    if not conn_str and not os.environ.get("PGHOST"):
        raise OpsError(
            "PG_CONN_STR is not set; expected the database of Terraform's state, such as "
            "postgres://terraform@postgresql.dbaas:5432/terraform. Put the password into "
            "PGPASSWORD or PGPASSFILE"
        )
    if re.match(r"postgres(ql)?://[^/@]*:[^@]+@", conn_str):
        raise OpsError(
            "PG_CONN_STR contains a password, which Terraform prints in errors; move it to "
            "PGPASSWORD or PGPASSFILE"
        )
    import psycopg

    try:
        psycopg.connect(conn_str, connect_timeout=_CONNECT_TIMEOUT_S).close()
    except psycopg.Error as error:
        raise OpsError(
            f"PostgreSQL refuses the connection ({_reason(error)}); check PG_CONN_STR, "
            "PGPASSWORD and PGSSLMODE"
        ) from error


def check_cluster() -> KubeTarget:
    """Return the cluster of KUBE_CONFIG_PATH and KUBE_CTX after its API server has answered.

    Raises:
        OpsError: naming the variable, the kubeconfig's contexts, or the server's answer.
    """
    config_path = os.environ.get("KUBE_CONFIG_PATH", "")
    if not config_path:
        raise OpsError(
            "KUBE_CONFIG_PATH is not set; expected a kubeconfig's path, such as ~/.kube/config"
        )
    path = Path(config_path).expanduser()
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        contexts = [context["name"] for context in config["contexts"]]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        reason = reason_of(error, limit=160)
        raise OpsError(
            f"KUBE_CONFIG_PATH is {config_path}; expected a kubeconfig ({reason})"
        ) from error
    context = os.environ.get("KUBE_CTX", "")
    expected = f"expected one of the contexts of {config_path}: {', '.join(contexts) or 'none'}"
    if not context:
        raise OpsError(f"KUBE_CTX is not set; {expected}")
    if context not in contexts:
        raise OpsError(f"KUBE_CTX is {context!r}; {expected}")
    target = KubeTarget(config_path=path, context=context)
    from ops.cluster.api import KubeApi

    with KubeApi(target) as api:
        api.check_reachable()
    return target


def check_terraform() -> None:
    """Check that Terraform 1.11 is on PATH and that TF_WORKSPACE selects the stack's workspace.

    Raises:
        OpsError: when Terraform is missing or another version, or the workspace is another one.
    """
    workspace = os.environ.get("TF_WORKSPACE", "default")
    if workspace != "default":
        raise OpsError(f"TF_WORKSPACE is {workspace!r}; expected the workspace default. Unset it")
    program = shutil.which("terraform")
    expected = "expected 1.11.x (1.12 and later break with this provider). Install it"
    if program is None:
        raise OpsError(f"terraform is not on PATH; {expected}")
    result = subprocess.run(
        [program, "version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    match = re.search(r"Terraform v(\d+\.\d+\.\S+)", result.stdout)
    version = match.group(1) if match else "unknown"
    if not version.startswith("1.11."):
        raise OpsError(f"terraform is {version}; {expected}")


def _reason(error: Exception) -> str:
    """Return the first line: libpq tries each address, and its later lines are hints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else type(error).__name__
