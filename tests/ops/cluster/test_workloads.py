"""The state and the reason of a pod that waits."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.resources.core_v1 import Pod

from ops.cluster.workloads import _pod


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        (
            {
                "initContainerStatuses": [{"name": "warm-up", "state": {"running": {}}}],
                "containerStatuses": [
                    {"name": "llama-swap", "state": {"waiting": {"reason": "PodInitializing"}}}
                ],
            },
            "Pending on k8s-node1",
            "warm-up runs; its log shows what it waits for",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "llama-swap",
                        "state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}},
                    }
                ]
            },
            "Pending on k8s-node1",
            "llama-swap: ErrImagePull no such",
        ),
    ],
)
def test_starting_pod_shows_what_it_waits_for(
    status: dict[str, Any], state: str, reason: str
) -> None:
    conditions = [{"type": "PodScheduled", "status": "True"}]
    container = {"ready": False, "restartCount": 0, "image": "", "imageID": ""}
    for entry in (*status.get("initContainerStatuses", ()), *status["containerStatuses"]):
        entry |= container
    workload = _pod(
        Pod.from_dict(
            {
                "metadata": {"name": "llama-swap-1"},
                "spec": {"nodeName": "k8s-node1", "containers": []},
                "status": {"phase": "Pending", "conditions": conditions, **status},
            }
        )
    )
    assert (workload.state, workload.reason) == (state, reason)
