"""Check the way to PostgreSQL, to the cluster and to the programs, before anything is changed.

Terraform says "connection refused" for a variable that is not set; these checks name it.
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
    """The cluster that a command works on."""

    config_path: Path
    context: str


def check_postgresql() -> None:
    """Refuse to go on without a PostgreSQL that takes the connection.

    Raises:
        OpsError: naming the variable or the server's answer; never a password.
    """
    conn_str = os.environ.get("PG_CONN_STR", "")
    if not conn_str and not os.environ.get("PGHOST"):
        raise OpsError(
            "PG_CONN_STR is not set; it says where Terraform's state is, such as "
            "postgres://terraform@postgresql.dbaas:5432/terraform; the password goes into "
            "PGPASSWORD or PGPASSFILE"
        )
    if re.match(r"postgres(ql)?://[^/@]*:[^@]+@", conn_str):
        raise OpsError(
            "PG_CONN_STR holds a password, which Terraform prints in errors; move it to "
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
    """Refuse to go on without an API server that answers at an explicitly named context.

    Raises:
        OpsError: naming the variable, the contexts there are, or the server's answer.
    """
    config_path = os.environ.get("KUBE_CONFIG_PATH", "")
    if not config_path:
        raise OpsError(
            "KUBE_CONFIG_PATH is not set; it names the kubeconfig, such as ~/.kube/config"
        )
    path = Path(config_path).expanduser()
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        contexts = [each["name"] for each in config["contexts"]]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        reason = reason_of(error, limit=160)
        raise OpsError(f"KUBE_CONFIG_PATH is {config_path}: no kubeconfig ({reason})") from error
    context = os.environ.get("KUBE_CTX", "")
    allowed = f"contexts of {config_path}: {', '.join(contexts) or 'none'}"
    if not context:
        raise OpsError(f"KUBE_CTX is not set; {allowed}; name one of them")
    if context not in contexts:
        raise OpsError(f"KUBE_CTX is {context!r}; {allowed}")
    target = KubeTarget(config_path=path, context=context)
    from ops.cluster.api import KubeApi

    with KubeApi(target) as api:
        api.check_reachable()
    return target


def check_terraform() -> None:
    """Refuse another Terraform than 1.11, and another workspace than the stack's.

    Raises:
        OpsError: when it is missing or of another version, or TF_WORKSPACE names another state.
    """
    workspace = os.environ.get("TF_WORKSPACE", "default")
    if workspace != "default":
        raise OpsError(f"TF_WORKSPACE is {workspace!r}; expected the workspace default. Unset it")
    program = shutil.which("terraform")
    allowed = "1.11.x is needed (1.12 and later break with this provider); install it"
    if program is None:
        raise OpsError(f"terraform is not on PATH; {allowed}")
    result = subprocess.run(
        [program, "version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    match = re.search(r"Terraform v(\d+\.\d+\.\S+)", result.stdout)
    version = match.group(1) if match else "unknown"
    if not version.startswith("1.11."):
        raise OpsError(f"terraform is {version}; {allowed}")


def _reason(error: Exception) -> str:
    """The first line: libpq tries each address, and later ones are hints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else type(error).__name__
