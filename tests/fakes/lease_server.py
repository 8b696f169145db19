"""As much of an API server as a Lease needs: versions, conflicts, and answers that get lost."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from in_pod.gpu_window.api import Timing
from in_pod.gpu_window.contract import ANNOTATION, LEASE
from in_pod.gpu_window.record import Record, Tenant

TENANT = Tenant(namespace="immich", deployment="immich-machine-learning", replicas=2, ready=1)
QUICK = Timing(poll_s=0.01, renew_s=0, patience_s=0.1, immich_patience_s=0.1)


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

    def now(self) -> float:
        return self.clock

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        if self.refuses:
            return self.refuses.pop(0), {"message": "as the test wants it"}
        assert "/leases" in path, path
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
