"""Make every check of the cluster and the database; nothing is changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ops.cluster import environment
from ops.cluster.api import KubeApi
from ops.cluster.pool_objects import objects_of_pools
from ops.commands.doctor.cluster import database, gpu_node, namespaces, rights, volumes
from ops.commands.doctor.cluster.check import EDIT, Check, Cluster, made, not_known
from ops.errors import OpsError
from ops.report.kubectl import kubectl
from ops.terraform.manifests import Manifest, manifests
from ops.terraform.synth import synthesize
from stacks.pools import settings_of_pools
from stacks.settings import Settings

_NVIDIA = "nvidia"
"""How the GPU Operator, k3s and RKE2 call their RuntimeClass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found."""

    checks: tuple[Check, ...]

    @property
    def works(self) -> bool | None:
        """Whether a deploy has what it needs; None if nothing is wrong and something not known."""
        if any(check.verdict == "blocks" for check in self.checks):
            return False
        return None if self.errors else True

    @property
    def errors(self) -> tuple[str, ...]:
        """One line for each check for which a deploy does not work, or may not."""
        blocking = [check for check in self.checks if check.blocks]
        blocking.sort(key=lambda check: check.status == "not known")
        return tuple(check.advice for check in blocking)


def examine(settings: Settings, only: str | None = None) -> Examination:
    """Check what a deploy of these settings needs.

    Args:
        settings: The cluster's settings.
        only: The only pool whose namespace, node and volume to check (default: all pools).

    Raises:
        OpsError: if registry, lock and settings do not match, with the app's own line.
    """
    with tempfile.TemporaryDirectory() as folder:
        objects = manifests(synthesize(outdir=Path(folder)).document)
    parts: tuple[Callable[[], Iterable[Check]], ...] = (
        lambda: _cluster(settings, objects, only),
        lambda: volumes.servers(settings),
        lambda: database.checks(settings.state_schema, settings.namespace),
    )
    with ThreadPoolExecutor(len(parts)) as pool:
        made_by_parts = pool.map(lambda part: tuple(part()), parts)
        return Examination(checks=tuple(check for part in made_by_parts for check in part))


def _cluster(
    settings: Settings, objects: tuple[Manifest, ...], only: str | None = None
) -> Iterator[Check]:
    try:
        target = environment.kube_target()
        with KubeApi(target) as api:
            version = api.check_reachable() or "of unknown version"
            cluster = Cluster(api=api, target=target, settings=settings, objects=objects)
            found = tuple(_of_cluster(cluster, only))
    except OpsError as error:
        yield Check(
            name="API server", found="", wanted="answers", status="wrong", remedy=str(error)
        )
        yield not_known("everything else in the cluster", "see API server")
        return
    yield Check(name="API server", found=version, wanted="answers")
    yield from found


def _of_cluster(cluster: Cluster, only: str | None) -> Iterator[Check]:
    yield from made("account", _account(cluster), is_needed=False)
    yield from made("rights", rights.checks(cluster))
    pools = settings_of_pools(cluster.settings)
    divided = objects_of_pools(cluster.objects, [pool.namespace for pool in pools])
    for pool, objects in zip(pools, divided, strict=True):
        if only not in (None, pool.pool):
            continue
        first = None if pool is pools[0] else pools[0]
        for check in _of_pool(replace(cluster, settings=pool, objects=objects, first=first)):
            yield check if len(pools) == 1 else replace(check, name=f"{pool.pool}: {check.name}")


def _of_pool(cluster: Cluster) -> Iterator[Check]:
    yield from made("GPU node", gpu_node.checks(cluster))
    yield from made(
        "runtime class",
        _runtime_class(cluster),
        is_needed=cluster.settings.gpu.runtime_class is not None,
    )
    yield from made("storage", volumes.checks(cluster))
    yield from namespaces.checks(cluster)


def _account(cluster: Cluster) -> Iterator[Check]:
    status = cluster.api.review("authentication.k8s.io/v1", "SelfSubjectReview", {})
    if status is None:
        raise OpsError("the API server is older than Kubernetes 1.28")
    yield Check(name="account", found=status["userInfo"]["username"], wanted="any")


def _runtime_class(cluster: Cluster) -> Iterator[Check]:
    named = cluster.settings.gpu.runtime_class
    live = cluster.api.get(f"/apis/node.k8s.io/v1/runtimeclasses/{named or _NVIDIA}")
    is_wrong = (live is None) if named else (live is not None)
    if named:
        found = "not there" if live is None else "there"
    else:
        found = "none set" if live is None else f"none set; the cluster has {_NVIDIA}"
    yield Check(
        name="runtime class",
        found=found,
        wanted=named or "the node's default",
        status="wrong" if is_wrong else "ok",
        is_needed=named is not None,
        remedy=f"Set gpu.runtime_class {EDIT} to one of "
        f"`{kubectl('get runtimeclass')}`, or to None."
        if named
        else f"If {_NVIDIA} is not the default runtime, the pod sees no card: set "
        f'gpu.runtime_class="{_NVIDIA}" {EDIT}.',
    )
