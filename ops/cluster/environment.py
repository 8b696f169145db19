"""Check PostgreSQL, the cluster and Terraform before a command changes anything.

For a variable that is not set, Terraform reports "connection refused"; these checks name it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from ops.errors import OpsError, reason_of
from ops.report.terminal import Say
from ops.terraform import program
from ops.terraform.program import Program
from ops.terraform.state_connection import connect


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
    connect().close()


def check_cluster() -> KubeTarget:
    """Return the cluster of KUBE_CONFIG_PATH and KUBE_CTX after its API server has answered.

    Raises:
        OpsError: naming the variable, the kubeconfig's contexts, or the server's answer.
    """
    from ops.cluster.api import KubeApi

    target = kube_target()
    with KubeApi(target) as api:
        api.check_reachable()
    return target


def kube_target() -> KubeTarget:
    """Return the cluster that KUBE_CONFIG_PATH and KUBE_CTX name, without asking it.

    Raises:
        OpsError: naming the variable, or the kubeconfig's contexts.
    """
    config_path = os.environ.get("KUBE_CONFIG_PATH", "")
    if not config_path:
        raise OpsError(
            "KUBE_CONFIG_PATH is not set; expected a kubeconfig's path, such as ~/.kube/config. "
            'Export it; for the cluster of `make up`, type `eval "$(python -m ops env)"`'
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
    return KubeTarget(config_path=path, context=context)


def check_terraform(say: Say | None) -> Program:
    """Return Terraform or OpenTofu, and check that it will use the stack's workspace and table.

    Args:
        say: Receives a line while OpenTofu is built; None: do not build it.

    Raises:
        OpsError: when there is none of an accepted version, or a variable selects another state.
    """
    workspace = os.environ.get("TF_WORKSPACE", "default")
    if workspace != "default":
        raise OpsError(f"TF_WORKSPACE is {workspace!r}; expected the workspace default. Unset it")
    # OpenTofu alone reads it, so that the two would keep two states.
    table = os.environ.get("PG_TABLE_NAME", "states")
    if table != "states":
        raise OpsError(f"PG_TABLE_NAME is {table!r}; expected the table states. Unset it")
    return program.find(say)
