"""Spell kubectl commands for the operator to type."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def kubectl(command: str, *, namespace: str = "") -> str:
    """Spell a kubectl command for the cluster of KUBE_CONFIG_PATH and KUBE_CTX.

    Both are in the line: without them kubectl would speak to the current context of the shell in
    which the line is typed, which may be another cluster.

    Args:
        command: The words after kubectl and its options, such as `delete pod a`.
        namespace: The object's namespace (default: it has none).
    """
    config_path = os.environ.get("KUBE_CONFIG_PATH")
    options = {
        # A shell expands no ~ in quotes, and may be in another directory.
        "--kubeconfig": config_path and str(Path(config_path).expanduser().absolute()),
        "--context": os.environ.get("KUBE_CTX"),
        "-n": namespace,
    }
    words = [f"{name} {shlex.quote(value)}" for name, value in options.items() if value]
    return " ".join(("kubectl", *words, command))
