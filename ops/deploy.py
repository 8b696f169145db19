"""Deploy the stack with cdktf, and believe it only when a plan afterwards is empty."""

from __future__ import annotations

import os
import subprocess

from ops import environment
from ops.errors import OpsError
from ops.kube import Cluster, Workload
from ops.synth import ROOT, STACK, Synthesized, node_path, synthesize
from ops.terminal import Say
from ops.terraform import NO_CHANGES, Terraform


def namespace_of(synthesized: Synthesized) -> str:
    """The namespace that a synthesized stack deploys into."""
    namespaces = synthesized.document["resource"]["kubernetes_namespace_v1"]
    (only,) = namespaces.values()
    name: str = only["metadata"]["name"]
    return name


def deploy(*, approved: bool, say: Say) -> tuple[Workload, ...]:
    """Check the environment, deploy, verify, and look at what runs.

    Args:
        approved: Whether cdktf applies without asking.
        say: Takes a line for the operator.

    Returns:
        What is in the namespace afterwards; what waits has a reason.

    Raises:
        OpsError: when a check fails, cdktf fails, or the plan after it is not empty.
    """
    environment.check_terraform()
    cdktf = environment.cdktf()
    environment.check_postgresql()
    target = environment.check_cluster()
    synthesized = synthesize()
    terraform = Terraform(synthesized.directory)
    terraform.init()
    if terraform.push_empty_state():
        say("a new schema: its state starts empty, so no other stack waits for this apply")
    run_cdktf(cdktf, approved=approved)
    verify(terraform)
    with Cluster(target) as cluster:
        return cluster.workloads(namespace_of(synthesized))


def run_cdktf(cdktf: str, *, approved: bool) -> None:
    """Run `cdktf deploy`, its output going straight to the terminal.

    Args:
        cdktf: The program.
        approved: Whether it applies without asking.

    Raises:
        OpsError: when it ends with an error.
    """
    env = os.environ | {
        "PATH": node_path(),
        "CHECKPOINT_DISABLE": "1",
    }
    # Another stack's lock attempts hold the database's lock for moments: wait them out.
    for name in ("TF_CLI_ARGS_plan", "TF_CLI_ARGS_apply"):
        env.setdefault(name, "-lock-timeout=60s")
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [cdktf, "deploy", STACK, "--skip-provider-lock"]
    if approved:
        command.append("--auto-approve")
        env["CI"] = "1"
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        check=False,
        stdin=subprocess.DEVNULL if approved else None,
    )
    if result.returncode:
        raise OpsError(
            f"cdktf deploy ended with exit code {result.returncode}; its output is above; "
            "docs/operating.md lists what fails how"
        )


def verify(terraform: Terraform) -> None:
    """Require that state, cluster and stack agree; cdktf-cli says 0 when Terraform was killed.

    Raises:
        OpsError: when a plan still finds changes.
    """
    if terraform.plan(quiet=True) != NO_CHANGES:
        raise OpsError(
            "the deploy is not complete: a plan after it still finds changes; "
            "see `python -m ops plan --refresh`, then deploy again"
        )
