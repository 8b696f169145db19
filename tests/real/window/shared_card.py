"""One card in a real control plane: machine learning holds it, llama-swap waits for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from in_pod.gpu_window.contract import ANNOTATION as RECORD
from in_pod.gpu_window.contract import LEASE
from in_pod.gpu_window.record import Record, parse_record
from in_pod.kubernetes.pod_state import is_ready
from in_pod.kubernetes.times import time_text
from ops.cluster.api import KubeApi
from tests.real.window.window_process import ML, NAMESPACE


def lease_path(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"


LEASE_PATH = lease_path(NAMESPACE)
SWAP = (NAMESPACE, "llama-swap")


class Card:
    """The cluster as the tests read it, and its reset."""

    def __init__(self, api: KubeApi, namespace: str = NAMESPACE) -> None:
        self.api = api
        self.lease_path = lease_path(namespace)

    def deployment(self, which: tuple[str, str]) -> dict[str, Any]:
        path = f"/apis/apps/v1/namespaces/{which[0]}/deployments/{which[1]}"
        deployment = self.api.get(path)
        assert deployment is not None
        return deployment

    def replicas(self, which: tuple[str, str]) -> int:
        count: int = self.deployment(which)["spec"]["replicas"]
        return count

    def pods(self, which: tuple[str, str]) -> list[dict[str, Any]]:
        pods = self.api.get(f"/api/v1/namespaces/{which[0]}/pods")
        assert pods is not None
        # A Deployment's pods have a hash before their own suffix.
        named = re.compile(rf"{which[1]}(-[a-z0-9]+)?-[a-z0-9]+")
        return [pod for pod in pods["items"] if named.fullmatch(pod["metadata"]["name"])]

    def ready(self, which: tuple[str, str]) -> int:
        return sum(is_ready(pod) for pod in self.pods(which))

    def scale(self, which: tuple[str, str], replicas: int) -> None:
        self.patch(which, {"spec": {"replicas": replicas}})

    def patch(self, which: tuple[str, str], change: dict[str, Any]) -> None:
        path = f"/apis/apps/v1/namespaces/{which[0]}/deployments/{which[1]}"
        status, answer = self.api.request("PATCH", path, change)
        assert status == 200, answer

    def cordon(self, unschedulable: bool = True) -> None:
        """Let no new pod onto the node."""
        change = {"spec": {"unschedulable": unschedulable}}
        status, answer = self.api.request("PATCH", "/api/v1/nodes/k8s-node1", change)
        assert status == 200, answer

    def lease(self) -> dict[str, Any] | None:
        return self.api.get(self.lease_path)

    def record(self) -> Record:
        lease = self.lease()
        assert lease is not None
        return parse_record(lease["metadata"]["annotations"][RECORD])

    def age(self, *, past_deadline: bool = False) -> None:
        """Make the heartbeat of the Lease, if it exists, look ten minutes old."""
        lease = self.lease()
        if lease is None:
            return
        lease["spec"]["renewTime"] = time_text(self.api.now() - 600)
        if past_deadline:
            annotations = lease["metadata"]["annotations"]
            annotations[RECORD] = annotations[RECORD].replace('"deadline": "20', '"deadline": "19')
        status, answer = self.api.request("PUT", self.lease_path, lease)
        assert status == 200, answer

    def until(self, condition: Callable[[], object], timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.picture()
            time.sleep(0.03)

    def as_at_start(self) -> bool:
        """Whether machine learning holds the card, llama-swap waits, and no window is open."""
        return (
            self.lease() is None
            and (self.replicas(ML), self.replicas(SWAP)) == (1, 1)
            and (self.ready(ML), self.ready(SWAP)) == (1, 0)
            and (len(self.pods(ML)), len(self.pods(SWAP))) == (1, 1)
        )

    def picture(self) -> str:
        pods = [
            f"{pod['metadata']['name']} {pod['status'].get('phase')} {is_ready(pod)}"
            for which in (ML, SWAP)
            for pod in self.pods(which)
        ]
        return f"{self.replicas(ML)} {self.replicas(SWAP)} {pods} {self.lease()}"

    def give_back(self) -> None:
        """Give the card to machine learning, without a window."""
        self.scale(ML, 1)
        self.scale(SWAP, 1)
        self.until(lambda: self.ready(ML) == 1)

    def reset(self) -> None:
        """Restore the state in which each test starts."""
        self.api.request("DELETE", self.lease_path)
        if not self.as_at_start():
            self.give_back()
        self.until(self.as_at_start)
