"""Whether the storage of the settings is there, and free for this endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlencode

from llama_swap_config.cluster.pod_resources import HOSTNAME
from llama_swap_config.cluster.storage import (
    LocalSsdStorage,
    NfsStorage,
    ProvisionedStorage,
)
from ops.cluster import object_states
from ops.cluster.api import Document
from ops.cluster.paths import object_path
from ops.commands.doctor.cluster.check import EDIT, Check, Cluster
from ops.commands.doctor.cluster.gpu_node import lacking
from ops.errors import reason_of
from ops.report.kubectl import kubectl
from ops.terraform.manifests import Manifest
from stacks.pools import settings_of_pools
from stacks.settings import Settings

_NFS_PORT = 2049
_NFS_TIMEOUT_S = 3
_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


def servers(settings: Settings) -> Iterator[Check]:
    """Connect to each NFS server from this machine, which may be in another network."""
    storages = [pool.storage for pool in settings_of_pools(settings)]
    named = [storage.server for storage in storages if isinstance(storage, NfsStorage)]
    yield from map(_server, dict.fromkeys(named))


def _server(address: str) -> Check:
    found = "answers"
    try:
        socket.create_connection((address, _NFS_PORT), _NFS_TIMEOUT_S).close()
    except OSError as error:
        found = f"does not answer ({reason_of(error)})"
    return Check(
        name="NFS server",
        found=found,
        wanted=f"{address}, port {_NFS_PORT}",
        status="ok" if found == "answers" else "wrong",
        is_needed=False,
        remedy="This machine does not reach it, and the node decides: try `timeout 3 bash -c "
        f"'</dev/tcp/{address}/{_NFS_PORT}' && echo answers` on the GPU node.",
    )


def checks(cluster: Cluster) -> Iterator[Check]:
    """Check the stack's volumes: a StorageClass, or those it declares and the node they are on.

    Raises:
        OpsError: if the API server refuses or does not answer.
    """
    if isinstance(cluster.settings.storage, ProvisionedStorage):
        yield _storage_class(cluster, cluster.settings.storage)
    for manifest in cluster.objects:
        if manifest["kind"] == "PersistentVolume":
            yield _volume(cluster, manifest)
        elif manifest["kind"] == "PersistentVolumeClaim":
            yield from _claim(cluster, manifest)
    for field, storage in (
        ("storage", cluster.settings.storage),
        ("gpu.cuda_cache", cluster.settings.gpu.cuda_cache),
    ):
        if isinstance(storage, LocalSsdStorage):
            yield _node(cluster, field, storage)


def _storage_class(cluster: Cluster, storage: ProvisionedStorage) -> Check:
    classes = {each["metadata"]["name"]: each for each in cluster.items(_CLASSES)}
    named = storage.storage_class
    defaults = [
        name
        for name, each in classes.items()
        if (each["metadata"].get("annotations") or {}).get(_IS_DEFAULT) == "true"
    ]
    chosen = next((name for name in classes if name in ([named] if named else defaults)), None)
    provisioner = "" if chosen is None else classes[chosen]["provisioner"]
    makes_volumes = provisioner != _NO_PROVISIONER
    return Check(
        name="StorageClass",
        found=f"{chosen} ({provisioner})"
        if chosen
        else f"only {', '.join(classes)}"
        if classes
        else "no class",
        wanted=f"{named or 'a default class'}, with a provisioner",
        status="ok" if chosen and makes_volumes else "wrong",
        is_needed=chosen is None,
        remedy="It makes no volumes: the claim waits for one that somebody else makes."
        if chosen
        else f"Set storage_class of ProvisionedStorage {EDIT} to one that the cluster has "
        f"(`{kubectl('get storageclass')}`).",
    )


def _volume(cluster: Cluster, manifest: Manifest) -> Check:
    name = manifest["metadata"]["name"]
    claim = next(
        f"{each['metadata']['namespace']}/{each['metadata']['name']}"
        for each in cluster.objects
        if each["kind"] == "PersistentVolumeClaim" and each["spec"].get("volumeName") == name
    )
    live = cluster.api.get(object_path(manifest))
    found, remedy = (
        ("not there yet", "") if live is None else _fault(cluster, live, manifest, claim)
    )
    return Check(
        name=f"volume {name}",
        found=found or f"for {claim}",
        wanted=f"not there yet, or for {claim}",
        status="wrong" if remedy else "ok",
        remedy=remedy,
    )


def _fault(cluster: Cluster, live: Document, manifest: Manifest, claim: str) -> tuple[str, str]:
    """What keeps the volume from the claim, and what to do; empty if nothing does."""
    holder = object_states.claim_of(live)
    if holder is not None and holder != claim:
        is_here = holder.startswith(f"{cluster.settings.namespace}/")
        return f"bound to {holder}", (
            "`python -m ops adopt` takes over an endpoint that runs already, and says how to "
            "declare that claim."
            if is_here
            else f"Another endpoint uses it: set volume of the storage {EDIT} to another name."
        )
    for state in object_states.volume(live):
        return state.state, f"The volume cannot be bound: {state.reason}."
    declared = manifest["spec"]
    wanted_class = declared["storageClassName"]
    if live["spec"].get("storageClassName", "") != wanted_class:
        return f"of class {live['spec'].get('storageClassName', '')!r}", (
            f"Set storage_class of the storage {EDIT} to it, or volume to another name."
        )
    if declared.get("nodeAffinity") not in (None, live["spec"].get("nodeAffinity")):
        return "of another node", (
            f"Set node of the storage {EDIT} to the volume's, or volume to another name: a deploy "
            "refuses to replace it."
        )
    for kind in ("nfs", "local"):
        source, wanted = live["spec"].get(kind) or {}, declared.get(kind) or {}
        if any(source.get(key) != value for key, value in wanted.items()):
            place = ":".join(source[key] for key in ("server", "path") if key in source)
            return place or "of another kind of storage", (
                f"Set storage {EDIT} to what the volume has, or its volume to another name; see "
                'docs/operating.md, "What a deploy refuses".'
            )
    return "", ""


def _claim(cluster: Cluster, manifest: Manifest) -> Iterator[Check]:
    """Compare a claim that exists with the declared one; a claim cannot be changed."""
    live = cluster.api.get(object_path(manifest))
    if live is None:
        return
    declared, there = manifest["spec"], live["spec"]
    differing = [
        f"{field} {there.get(field)!r}, not {declared[field]!r}"
        for field in ("accessModes", "storageClassName", "volumeName")
        if field in declared and there.get(field) != declared[field]
    ]
    yield Check(
        name=f"claim {manifest['metadata']['name']}",
        found=", ".join(differing) or "as declared",
        wanted="as declared",
        status="wrong" if differing else "ok",
        remedy=f"Set storage {EDIT} to what the claim has: a deploy refuses to replace it.",
    )


def _node(cluster: Cluster, field: str, storage: LocalSsdStorage) -> Check:
    query = urlencode({"labelSelector": f"{HOSTNAME}={storage.node}"})
    found = "not there"
    for node in cluster.items(f"/api/v1/nodes?{query}"):
        missing = ", ".join(lacking(node, cluster.settings.gpu.node_selector))
        found = f"lacks {missing} of gpu.node_selector" if missing else "matches"
    return Check(
        name=f"node of {field}",
        found=found,
        wanted=f"{HOSTNAME}={storage.node}, and gpu.node_selector",
        status="ok" if found == "matches" else "wrong",
        remedy=f"Set {field}.node {EDIT} to the label {HOSTNAME} of the GPU node: "
        f"`{kubectl(f'get nodes -L {HOSTNAME}')}`.",
    )
