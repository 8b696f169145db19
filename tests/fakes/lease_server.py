"""As much of an API server as a window needs: versions, conflicts, and answers that get lost."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from in_pod.gpu_window.contract import ANNOTATION, LEASE
from in_pod.gpu_window.declared import Declared
from in_pod.gpu_window.record import Record, Tenant
from in_pod.gpu_window.timing import Timing

TENANT = Tenant(
    kind="Deployment", namespace="immich", name="immich-machine-learning", replicas=2, ready=1
)
DECLARED = Declared(tenants=(TENANT.workload,), queues=("ocr",))
QUICK = Timing(
    poll_s=0.01, renew_s=0, ready_s=0, terminate_s=0, patience_s=0.1, immich_patience_s=0.1
)


class LeaseServer:
    """Its clock stands still, in another year than any laptop's."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.clock = 2_000_000_000.0
        self.version = 0
        self.loses_answers = 0
        """So many writes are done without an answer."""
        self.refuses: list[int] = []
        """The next answers' statuses, before anything is done."""
        self.writes: list[str] = []
        self.replicas: dict[str, int] = {}
        """Path of a workload -> its replicas; all of them are ready."""
        self.forbidden: set[str] = set()
        """Paths of workloads that the account may not read."""
        self.rescaled: dict[str, int] = {}
        """Path of a workload -> replicas that somebody sets just before our next write."""

    def now(self) -> float:
        return self.clock

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        if self.refuses:
            return self.refuses.pop(0), {"message": "as the test wants it"}
        if "/leases" not in path:
            return self._workload(method, path, body or {})
        if method == "GET":
            return (404, {}) if self.lease is None else (200, copy.deepcopy(self.lease))
        self.writes.append(method)
        answer = self._write(method, copy.deepcopy(body or {}))
        if self.loses_answers:
            self.loses_answers -= 1
            raise ConnectionError("connection reset")
        return answer

    def _write(self, method: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        there = self.lease is not None
        if there == (method == "POST"):
            return (409 if there else 404), {"message": "it is, or is not, there"}
        if self.lease is not None:
            wanted = body.get("preconditions", body.get("metadata", {})).get("resourceVersion")
            if wanted != self.lease["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
        if method == "DELETE":
            self.lease = None
            return 200, {}
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.lease = body
        return 200, copy.deepcopy(body)

    def _workload(
        self, method: str, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if "/pods?" in path:
            return 200, {"items": []}
        if path in self.forbidden:
            return 403, {"message": "the account may not read it"}
        path = path.removesuffix("/scale")
        if path not in self.replicas:
            return 404, {"message": "it is not there"}
        if method == "PATCH":
            if path in self.rescaled:
                self.replicas[path] = self.rescaled.pop(path)
            if body["metadata"]["resourceVersion"] != str(self.replicas[path]):
                return 409, {"message": "the object has been modified"}
            self.writes.append(f"scale {path.rpartition('/')[2]} to {body['spec']['replicas']}")
            self.replicas[path] = body["spec"]["replicas"]
        replicas = self.replicas[path]
        return 200, {
            "metadata": {
                "generation": 1,
                # Of a workload only the replicas change here.
                "resourceVersion": str(replicas),
                "managedFields": [
                    {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
                ],
            },
            "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {}}},
            "status": {"observedGeneration": 1},
        }

    def put(self, record: Record | str, *, holder: str, renewed_s_ago: float) -> None:
        """Let there be a window of somebody."""
        moment = datetime.fromtimestamp(self.clock - renewed_s_ago, UTC).isoformat()
        text = record if isinstance(record, str) else record.to_json()
        self.version += 1
        self.lease = {
            "metadata": {
                "name": LEASE,
                "resourceVersion": str(self.version),
                "annotations": {ANNOTATION: text},
            },
            "spec": {
                "holderIdentity": holder,
                "acquireTime": moment,
                "renewTime": moment,
                "leaseDurationSeconds": 60,
            },
        }
