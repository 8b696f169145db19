"""Whether a node has the card of the settings and takes the serving pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from typing import Any

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT
from llama_swap_config.cluster.pod_resources import PRODUCT, Gpu, Taint
from ops.cluster.api import Document
from ops.cluster.quantity import quantity
from ops.commands.doctor.cluster import card
from ops.commands.doctor.cluster.check import EDIT, Check, Cluster
from ops.errors import OpsError
from ops.report.kubectl import kubectl

_OF_KUBERNETES = "node.kubernetes.io/"
"""How the keys of the taints begin that Kubernetes sets by a node's conditions."""
_KEEPS_AWAY = ("NoSchedule", "NoExecute")


def checks(cluster: Cluster) -> Iterator[Check]:
    """Check the node of `gpu.node_selector`; of several, the one with the fewest faults.

    Raises:
        OpsError: if the API server refuses or does not answer.
    """
    gpu = cluster.settings.gpu
    nodes = cluster.items("/api/v1/nodes")
    selected = [node for node in nodes if lacking(node, gpu.node_selector) == {}]
    wanted = _spelled(gpu.node_selector)
    if not selected:
        yield _unselected(cluster, nodes, wanted)
        return
    candidates = [(node, tuple(_of_node(cluster, node))) for node in selected]
    node, found = min(candidates, key=lambda candidate: sum(each.blocks for each in candidate[1]))
    others = f", of {len(selected)} that match" if len(selected) > 1 else ""
    yield Check(name="GPU node", found=f"{_name(node)}{others}", wanted=wanted)
    yield from found


def _unselected(cluster: Cluster, nodes: list[Document], wanted: str) -> Check:
    """Say which nodes have a GPU, and what they lack."""
    gpu = cluster.settings.gpu
    with_gpu = [node for node in nodes if _offered(node, gpu) or PRODUCT in _labels(node)]
    named = "; ".join(
        f"{_name(node)} has a GPU and lacks {_spelled(lacking(node, gpu.node_selector))}"
        for node in with_gpu
    )
    if with_gpu:
        labels = _spelled(lacking(with_gpu[0], gpu.node_selector)).replace(", ", " ")
        remedy = (
            f"Set gpu.node_selector {EDIT} to labels that it has, or "
            f"`{kubectl(f'label --overwrite node {_name(with_gpu[0])} {labels}')}`."
        )
    else:
        remedy = (
            "Install NVIDIA's device plugin and GPU Feature Discovery (or the GPU Operator), or "
            f"correct gpu.node_selector {EDIT}."
        )
    found = named or f"none of {len(nodes)} nodes has these labels or a GPU"
    return Check(name="GPU node", found=found, wanted=wanted, status="wrong", remedy=remedy)


def _of_node(cluster: Cluster, node: Document) -> Iterator[Check]:
    gpu = cluster.settings.gpu
    pod = _serving_pod(cluster)
    yield _readiness(cluster, node)
    yield _resource(cluster, node, pod)
    yield _taints(node, gpu)
    yield from card.checks(_labels(node), cluster.settings)
    yield _room(node, pod, gpu)


def _readiness(cluster: Cluster, node: Document) -> Check:
    name = _name(node)
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node["status"].get("conditions") or ()
    )
    pressed = [
        str(taint["key"]) for taint in _away(node) if taint["key"].startswith(_OF_KUBERNETES)
    ]
    found, remedy = "Ready", ""
    if node["spec"].get("unschedulable"):
        found, remedy = "cordoned", f"`{kubectl(f'uncordon {name}')}`."
    elif not ready or pressed:
        found = ", ".join(pressed) or "not Ready"
        remedy = f"`{kubectl(f'describe node {name}')}` says why."
    return Check(
        name="state of the node",
        found=found,
        wanted="Ready",
        status="ok" if found == "Ready" else "wrong",
        remedy=remedy,
    )


def _resource(cluster: Cluster, node: Document, pod: Document) -> Check:
    gpu = cluster.settings.gpu
    wanted = int(pod["containers"][0]["resources"]["limits"][gpu.resource])
    found = int(quantity((node["status"].get("allocatable") or {}).get(gpu.resource)) or 0)
    remedy = ""
    if found < wanted:
        offered = _offered(node, gpu)
        if found and gpu.count > 1:
            remedy = f"Lower gpu.count {EDIT}, or select a node with as many cards."
        elif found:
            remedy = f"Lower sharing.request {EDIT}, or raise the device plugin's replicas."
        elif offered:
            remedy = f'The node offers {offered}: set gpu.resource="{offered}" {EDIT}.'
        else:
            remedy = _device_plugin(cluster)
    return Check(
        name="GPUs of the node",
        found=f"{found} {gpu.resource}",
        wanted=f"{wanted} {gpu.resource}",
        status="ok" if found >= wanted else "wrong",
        remedy=remedy,
    )


def _device_plugin(cluster: Cluster) -> str:
    """Say whether a device plugin runs, by the names of the DaemonSets."""
    try:
        listed = cluster.items("/apis/apps/v1/daemonsets")
    except OpsError as error:
        return f"Check the device plugin, which this account may not see ({error})."
    plugins = [item for item in listed if "device-plugin" in item["metadata"]["name"]]
    if not plugins:
        return "Install NVIDIA's device plugin: no DaemonSet has device-plugin in its name."
    found = []
    for plugin in plugins:
        metadata, status = plugin["metadata"], plugin.get("status") or {}
        found.append(
            f"{metadata['namespace']}/{metadata['name']} is ready on "
            f"{status.get('numberReady', 0)} of {status.get('desiredNumberScheduled', 0)} nodes"
        )
    return f"Check the device plugin: DaemonSet {', '.join(found)}."


def _taints(node: Document, gpu: Gpu) -> Check:
    tolerated = tuple(dict.fromkeys(taint.key for taint in gpu.taints))
    taints = [
        Taint(key=taint["key"], value=taint.get("value", ""), effect=taint["effect"])
        for taint in _away(node)
        if not taint["key"].startswith(_OF_KUBERNETES)
    ]
    foreign = [taint for taint in taints if taint.key not in tolerated]
    return Check(
        name="taints of the node",
        found=", ".join(f"{taint.key}:{taint.effect}" for taint in taints) or "none",
        wanted=f"only {', '.join(tolerated)}" if tolerated else "none",
        status="wrong" if foreign else "ok",
        remedy=f"Set taints=({', '.join(map(_spelled_taint, (*gpu.taints, *foreign)))},) of gpu "
        f"{EDIT}.",
    )


def _spelled_taint(taint: Taint) -> str:
    """Write a taint as the settings take it."""
    fields = (
        (field.name, getattr(taint, field.name), field.default) for field in fields_of(taint)
    )
    given = (f'{name}="{value}"' for name, value, default in fields if value != default)
    return f"Taint({', '.join(given)})"


def _room(node: Document, pod: Document, gpu: Gpu) -> Check:
    """Compare with the whole node: what other pods request is the scheduler's."""
    allocatable = node["status"].get("allocatable") or {}
    requests = {key: value for key, value in _requests(pod).items() if key != gpu.resource}
    short = [
        key
        for key, value in requests.items()
        if (quantity(allocatable.get(key, "0")) or 0) < (quantity(value) or 0)
    ]
    return Check(
        name="room on the node",
        found=", ".join(f"{key} {allocatable.get(key, '0')}" for key in short or requests),
        wanted=", ".join(f"{key} {value}" for key, value in requests.items()),
        status="wrong" if short else "ok",
        remedy=f"Lower {', '.join(short)} of resources {EDIT}.",
    )


def _requests(pod: Document) -> dict[str, Any]:
    """The pod's requests: init containers run one by one, and before its one container."""
    requests: dict[str, Any] = {}
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        for key, value in (container.get("resources", {}).get("requests") or {}).items():
            if (quantity(value) or 0) > (quantity(requests.get(key, "0")) or 0):
                requests[key] = value
    return requests


def _serving_pod(cluster: Cluster) -> Document:
    (deployment,) = (
        each
        for each in cluster.objects
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", ENDPOINT_DEPLOYMENT)
    )
    pod: Document = deployment["spec"]["template"]["spec"]
    return pod


def _offered(node: Document, gpu: Gpu) -> str:
    """The first resource of the same domain that the node offers; empty if there is none."""
    domain = gpu.resource.partition("/")[0]
    allocatable = node["status"].get("allocatable") or {}
    return next(
        (
            key
            for key, value in allocatable.items()
            if key.startswith(f"{domain}/") and value != "0"
        ),
        "",
    )


def _away(node: Document) -> list[Document]:
    return [taint for taint in node["spec"].get("taints") or () if taint["effect"] in _KEEPS_AWAY]


def lacking(node: Document, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a node does not have, or has with another value."""
    found = _labels(node)
    return {key: value for key, value in labels.items() if found.get(key) != value}


def _labels(node: Document) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _name(node: Document) -> str:
    return str(node["metadata"]["name"])


def _spelled(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
