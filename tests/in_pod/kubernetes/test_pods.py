"""The text for a pod's state, and the selector of a Deployment's pods."""

from __future__ import annotations

from typing import Any

import pytest

from in_pod.kubernetes.pods import label_selector, pod_text


def pod(status: dict[str, Any], *, node: str = "k8s-node1", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "ml", "namespace": "immich", **metadata},
        "spec": {"nodeName": node} if node else {},
        "status": status,
    }


READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (pod(READY), "ml (Running on k8s-node1)"),
        (
            pod(
                READY,
                deletionTimestamp="2026-11-25T04:00:30Z",
                deletionGracePeriodSeconds=30,
            ),
            "ml (Terminating since 04:00:00 UTC on k8s-node1)",
        ),
        (
            pod(
                {
                    "conditions": [
                        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no"}
                    ]
                },
                node="",
            ),
            "ml (not scheduled: 0/1 nodes: no)",
        ),
        (
            pod(
                {
                    "containerStatuses": [
                        {"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                    ]
                }
            ),
            "ml (a: ImagePullBackOff on k8s-node1)",
        ),
        (
            pod({"initContainerStatuses": [{"name": "warm-up", "state": {"running": {}}}]}),
            "ml (warm-up runs on k8s-node1)",
        ),
        (pod({}), "ml (not started yet on k8s-node1)"),
    ],
)
def test_pod_text_describes_state_and_node(resource: dict[str, Any], text: str) -> None:
    assert pod_text(resource) == text


def test_label_selector_formats_every_operator() -> None:
    selector = {
        "matchLabels": {"app": "ml"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "zone", "operator": "NotIn", "values": ["c"]},
            {"key": "gpu", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert label_selector(selector) == "app=ml,tier in (a,b),zone notin (c),gpu,!old"
