"""What is said of pods, and how they are found."""

from __future__ import annotations

from typing import Any

import pytest

from in_pod.gpu_window.pods import label_selector, pod_text


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "ml", "namespace": "immich", **metadata},
        "spec": {"nodeName": "k8s-node1"},
        "status": status,
    }


READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("found", "text"),
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
                }
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
            "ml (warm-up runs, not ready on k8s-node1)",
        ),
        (pod({}), "ml (Pending on k8s-node1)"),
    ],
)
def test_what_keeps_a_pod(found: dict[str, Any], text: str) -> None:
    assert pod_text(found) == text


def test_pods_are_found_by_every_kind_of_selector() -> None:
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
