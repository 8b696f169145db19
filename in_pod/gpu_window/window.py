"""A window: its Lease, and the workloads that it scales."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast
from urllib.parse import quote, urlencode

from ..kubernetes.api import Api, Document, Say
from ..kubernetes.asking import message_of
from ..kubernetes.pod_state import condition, is_ready
from ..kubernetes.pods import is_observed, label_selector, pod_text, replicas_of, scaled_by
from ..kubernetes.times import time_text
from ..kubernetes.workload import Workload
from .contract import (
    ANNOTATION,
    ENDPOINT_DEPLOYMENT,
    LEASE,
    NO_ACCESS,
    RESTORE_COMMAND,
    TRANSIENT,
)
from .errors import LostError, RescaledError, WindowError
from .lease import WindowLease
from .patient import Patient
from .record import Record
from .timing import Timing


class Window(WindowLease):
    """The window of a namespace: its Lease, and the workloads that it scales.

    Each change of the Lease names the version that it changes, so a holder that lost the Lease
    notices; the Lease is renewed before any other change.
    """

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        say: Say,
        timing: Timing | None = None,
        restore_command: str = RESTORE_COMMAND,
    ) -> None:
        """Send no request yet.

        Args:
            api: The API server.
            namespace: Namespace of the Lease and the endpoint.
            say: Prints a line.
            timing: Intervals and time limits (default: those for a real cluster).
            restore_command: The operator's command that restores this window.
        """
        super().__init__({}, api.now)
        self.timing = timing or Timing()
        self.restore_command = restore_command
        self.namespace = namespace
        self.endpoint = Workload(kind="Deployment", namespace=namespace, name=ENDPOINT_DEPLOYMENT)
        self.say = say
        self._api = Patient(
            api.request,
            "the API server",
            patience_s=self.timing.patience_s,
            poll_s=self.timing.poll_s,
            say=say,
        )
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._me = ""
        self._beat = 0.0
        self._is_ended = False

    # Reading the Lease.

    def find(self) -> bool:
        """Read the Lease; return False if there is none."""
        self._lease = self._read()
        return bool(self._lease)

    def _read(self) -> Document:
        return self._get(f"{self._leases}/{LEASE}") or {}

    def _get(self, path: str, *, patiently: bool = True) -> Document | None:
        """Read an object; None if it does not exist."""
        status, answer = self._api.request("GET", path, patiently=patiently)
        if status == 404:
            return None
        if status >= 400:
            raise _refused(f"GET {path}", status, answer)
        return cast("Document", answer)

    # Changing the Lease.

    def create(self, who: str, record: Record) -> bool:
        """Open the window; return False if one is open."""
        self._is_ended = False
        self._me = f"{who}/{secrets.token_hex(4)}"
        self._lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": self.namespace},
            "spec": {},
        }
        status, answer = self._api.request("POST", self._leases, self._changed(self._me, record))
        if status == 409:
            # The answer to our first request may have been lost.
            return self.find() and self.holder == self._me
        if status >= 400:
            raise _refused("to create the Lease", status, answer)
        self._kept(answer)
        return True

    def take_over(self, who: str) -> bool:
        """Become the holder of the window; return False if another process was faster."""
        record = self.record
        self._me = f"{who}/{secrets.token_hex(4)}"
        try:
            self._put(self._me, record)
        except LostError:
            return False
        return True

    def renew(self, record: Record | None = None, *, patiently: bool = True) -> None:
        """Send a heartbeat, with a new record if given.

        Raises:
            LostError: when another process has the Lease.
        """
        self._put(self._me, self.record if record is None else record, patiently=patiently)

    def beat(self, *, patiently: bool = True) -> None:
        """Send a heartbeat if it is due."""
        if time.monotonic() - self._beat >= self.timing.renew_s:
            self.renew(patiently=patiently)

    def end(self) -> None:
        """Let the Lease say, from its next change on, that the deadline has passed."""
        self._is_ended = True

    def let_go(self, record: Record) -> None:
        """Release the window, so that any process may restore the rest at once."""
        self.end()
        self._put("", record)

    def delete(self) -> None:
        """Delete the Lease after everything is restored."""
        metadata = self._lease["metadata"]
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": metadata["resourceVersion"]},
        }
        status, answer = self._api.request("DELETE", f"{self._leases}/{LEASE}", options)
        if status == 409:
            raise LostError(f"another process has the Lease {LEASE}", TRANSIENT)
        if status >= 400 and status != 404:
            raise _refused("to delete the Lease", status, answer)

    def _changed(self, holder: str, record: Record) -> Document:
        document = copy.deepcopy(self._lease)
        now = time_text(self.now())
        if self._is_ended:
            record = replace(record, deadline=min(record.deadline, self.now()))
        annotations = document["metadata"].get("annotations") or {}
        document["metadata"]["annotations"] = annotations | {ANNOTATION: record.to_json()}
        spec = document["spec"] = document.get("spec") or {}
        if holder and spec.get("holderIdentity") != holder:
            spec["acquireTime"] = now
        spec |= {
            "holderIdentity": holder or None,
            "renewTime": now,
            "leaseDurationSeconds": self.timing.lease_s,
        }
        return document

    def _kept(self, answer: Document) -> None:
        self._lease, self._beat = answer, time.monotonic()

    def _put(self, holder: str, record: Record, *, patiently: bool = True) -> None:
        path = f"{self._leases}/{LEASE}"
        for _ in range(3):
            body = self._changed(holder, record)
            status, answer = self._api.request("PUT", path, body, patiently=patiently)
            if status < 400:
                self._kept(answer)
                return
            if status not in (404, 409):
                raise _refused("to change the Lease", status, answer)
            # The answer to our earlier request may have been lost; then the Lease is still ours.
            lease = self._read()
            if not lease:
                raise LostError(
                    f"the Lease {LEASE} does not exist: another process restored the tenants, or "
                    "somebody deleted it. Check the replicas of the tenants.",
                    TRANSIENT,
                )
            # Otherwise do not store its version, which would let us change it.
            present = (lease.get("spec") or {}).get("holderIdentity") or ""
            if present not in (self._me, holder):
                raise LostError(f"{present or 'another process'} has the window", TRANSIENT)
            self._lease = lease
        raise LostError(f"the Lease {LEASE} changes too often", TRANSIENT)

    # The workloads.

    def read(self, workload: Workload) -> Document | None:
        """Read a workload; None if it does not exist."""
        return self._get(workload.path)

    def scale(self, workload: Workload, *, found: int, wanted: int) -> str:
        """Scale a workload if it exists and still has the replicas that were found.

        Args:
            workload: The workload.
            found: Its replicas as the window last saw or set them.
            wanted: Its new replicas.

        Returns:
            The reason if the API server refuses; empty otherwise.

        Raises:
            RescaledError: when somebody else scaled it meanwhile.
        """
        self.renew()
        path = f"{workload.path}/scale"
        for _ in range(10):
            document = self.read(workload)
            if document is None:
                self.say(f"{workload} no longer exists; not scaled")
                return ""
            replicas = replicas_of(document)
            if replicas == wanted:
                return ""
            if replicas != found:
                raise RescaledError(f"{workload} was scaled to {replicas}{_by(document)}")
            # With the version that was read, a change by somebody else in between is a conflict.
            body = {
                "metadata": {"resourceVersion": document["metadata"]["resourceVersion"]},
                "spec": {"replicas": wanted},
            }
            status, answer = self._api.request("PATCH", path, body)
            if status < 400:
                return ""
            if status not in (404, 409):
                return str(_refused(f"PATCH {path}", status, answer))
        return f"{workload} changes too often to be scaled"

    def scaled_up(self, workload: Workload) -> str:
        """Describe the scale of a workload that this window scaled to 0, if it has another now.

        Raises:
            UnansweredError: when the API server does not answer at once.
        """
        document = self._get(workload.path, patiently=False)
        if document is None or replicas_of(document) == 0:
            return ""
        return f"{workload} was scaled to {replicas_of(document)}{_by(document)}"

    def lingering(self, workload: Workload) -> str:
        """List the remaining pods of a workload that was scaled to 0, as text."""
        document = self.read(workload)
        if document is None:
            return ""
        pods = self.pods(workload, document)
        if not pods and not is_observed(document):
            return f"{workload} to scale down"
        namespace = workload.namespace
        return ", ".join(f"pod {namespace}/{pod_text(pod)} to end" for pod in pods)

    def staying(self, workload: Workload) -> str:
        """Describe the pods of a workload that is scaled to 0 which are not terminating yet.

        If it were scaled up before that, one of them would count as ready and then terminate.
        """
        document = self.read(workload)
        if document is None or replicas_of(document) != 0:
            return ""
        pods = self.pods(workload, document)
        terminating = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
        if len(terminating) == len(pods):
            return "" if is_observed(document) else f"{workload} to scale down"
        return f"pods of {workload} to terminate"

    def ready_pods(self, workload: Workload, document: Document) -> int:
        """Count a workload's ready pods; its own status follows a moment later."""
        return sum(is_ready(pod) for pod in self.pods(workload, document))

    def unready(self, workload: Workload, wanted: int) -> str:
        """Describe what is missing until `wanted` pods of a workload are ready."""
        document = None if wanted == 0 else self.read(workload)
        if document is None:
            return ""
        pods = self.pods(workload, document)
        ready = [pod for pod in pods if is_ready(pod)]
        # Whoever scaled it below that wants no more.
        if is_observed(document) and len(ready) >= min(wanted, replicas_of(document)):
            return ""
        waiting = [
            f"pod {workload.namespace}/{pod_text(pod)} to be ready"
            for pod in pods
            if not is_ready(pod)
        ]
        failure = condition(document, "ReplicaFailure")
        if not waiting and failure.get("status") == "True":
            waiting = [f"{workload}: {message_of(failure)}"]
        return ", ".join(waiting) or f"a pod of {workload}"

    def pods(self, workload: Workload, document: Document) -> list[Document]:
        """List a workload's pods that have not ended."""
        query = urlencode({"labelSelector": label_selector(document["spec"]["selector"])})
        path = f"/api/v1/namespaces/{quote(workload.namespace)}/pods?{query}"
        status, answer = self._api.request("GET", path)
        if status >= 400:
            raise _refused(f"GET {path}", status, answer)
        # Pods that ended use no GPU; Kubernetes may keep them for their logs.
        ended = ("Succeeded", "Failed")
        return [pod for pod in answer["items"] if pod["status"].get("phase") not in ended]

    def wait(self, look: Callable[[], str], limit_s: float) -> str:
        """Wait until `look` returns nothing, with heartbeats.

        Returns:
            The last result of `look` at the limit; empty if the wait succeeded.
        """
        started, printed = time.monotonic(), ""
        while waiting := look():
            if waiting != printed:
                self.say(f"waiting for {waiting}")
                printed = waiting
            if time.monotonic() - started >= limit_s:
                break
            self.beat()
            time.sleep(self.timing.poll_s)
        return waiting


def _by(document: Document) -> str:
    manager = scaled_by(document)
    return f" by {manager}" if manager else ""


def _refused(request: str, status: int, answer: object) -> WindowError:
    return WindowError(
        f"the API server refuses {request} ({status}: {message_of(answer)})", NO_ACCESS
    )
