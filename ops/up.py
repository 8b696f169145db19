"""The whole way on this machine: an embedded cluster with the production stack in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops import embedded, environment, local_store
from ops.deploy import namespace_of, verify
from ops.embedded import EmbeddedCluster
from ops.environment import KubeTarget
from ops.kube import Cluster, Workload
from ops.local_store import LocalStore
from ops.manifests import Manifest, manifests
from ops.synth import synthesize
from ops.terraform import ProviderUnavailableError, Terraform

_SETTLE_TIMEOUT_S = 60

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What `up` made."""

    cluster: EmbeddedCluster
    namespace: str
    way: str
    """`Terraform`, or `server-side apply`, and why."""
    objects: tuple[Manifest, ...]
    workloads: tuple[Workload, ...]
    store: LocalStore
    """What the cluster's download and warm-up would have made, made here from stand-ins."""


def up(state_dir: Path, *, say: Say) -> Deployed:
    """Start the embedded cluster and deploy the stack into it.

    Args:
        state_dir: The cluster's directory.
        say: Takes a line for the operator.

    Raises:
        OpsError: when a part does not start, or an object is refused.
    """
    environment.check_terraform()
    synthesized = synthesize()
    objects = manifests(synthesized.document)
    cluster = embedded.up(state_dir, say=say)
    os.environ |= cluster.environment()
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    namespace = namespace_of(synthesized)
    with Cluster(target) as kube:
        way = _deploy(Terraform(synthesized.directory), kube, objects, say)
        workloads = kube.wait_until_settled(namespace, timeout_s=_SETTLE_TIMEOUT_S, say=say)
    say("no container runs there, so the same programs fill a store here, from stand-ins")
    return Deployed(
        cluster=cluster,
        namespace=namespace,
        way=way,
        objects=objects,
        workloads=workloads,
        store=local_store.fill(cluster.state_dir, say=say),
    )


def _deploy(terraform: Terraform, kube: Cluster, objects: tuple[Manifest, ...], say: Say) -> str:
    """Deploy by Terraform where it can be had, and say which way it was."""
    try:
        terraform.init()
    except ProviderUnavailableError as error:
        say("deploying by server-side apply")
        kube.apply(objects)
        return f"server-side apply, because {error}"
    say("deploying by Terraform, state in PostgreSQL")
    terraform.push_empty_state()
    terraform.apply()
    verify(terraform)
    return "Terraform, state in PostgreSQL; a plan afterwards finds no changes"
