"""The one window of a namespace, and the cluster behind it."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast
from urllib.parse import quote, urlencode

from .api import Api, Document, Say, Timing
from .asking import Patient, message_of
from .contract import ANNOTATION, DEAD_S, LEASE, NO_ACCESS, TRANSIENT
from .errors import LostError, WindowError
from .pods import condition, is_observed, is_ready, label_selector, pod_text
from .record import Record, parse_record, parse_time, time_text


class Window:
    """The one window of a namespace, and the cluster behind it.

    Every change of the Lease names the version that it changes, so whoever lost it notices; every
    change of something else is preceded by one of the Lease.
    """

    def __init__(
        self, api: Api, *, namespace: str, say: Say, timing: Timing | None = None
    ) -> None:
        """Ask nothing yet.

        Args:
            api: The API server.
            namespace: Where the Lease and llama-swap are.
            say: Takes a line for whoever waits.
            timing: Left out: what fits a real cluster.
        """
        self.timing = timing or Timing()
        self.namespace = namespace
        self.say = say
        self.now = api.now
        self._api = Patient(
            api.request,
            "the API server",
            patience_s=self.timing.patience_s,
            poll_s=self.timing.poll_s,
            say=say,
        )
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._lease: Document = {}
        self._me = ""
        self._beat = 0.0

    # Who has it.

    def find(self) -> bool:
        """Read the Lease; False where there is none."""
        self._lease = self._read()
        return bool(self._lease)

    def _read(self) -> Document:
        return self._get(f"{self._leases}/{LEASE}") or {}

    def _get(self, what: str) -> Document | None:
        """Read an object; None where there is none."""
        status, answer = self._api.request("GET", what)
        if status == 404:
            return None
        if status >= 400:
            raise _refused(f"GET {what}", status, answer)
        return cast("Document", answer)

    @property
    def holder(self) -> str:
        """Who has it; empty: nobody, and something remains."""
        return str(self._lease["spec"].get("holderIdentity") or "")

    @property
    def acquired(self) -> float:
        """Since when, in seconds since 1970."""
        return self._moment("acquireTime")

    @property
    def renewed(self) -> float:
        """When it beat last."""
        return self._moment("renewTime")

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return self.now() - self.renewed

    @property
    def is_dead(self) -> bool:
        """Whether nobody has it any more."""
        spec = self._lease["spec"]
        return not self.holder or self.silent_s > (spec.get("leaseDurationSeconds") or DEAD_S)

    @property
    def record(self) -> Record:
        """What there is to put back."""
        return parse_record(self._lease["metadata"].get("annotations", {}).get(ANNOTATION))

    def _moment(self, name: str) -> float:
        try:
            return parse_time(self._lease["spec"][name])
        except (LookupError, TypeError, ValueError):
            return 0.0

    # Having it.

    def create(self, who: str, record: Record) -> bool:
        """Take the window; False where one is open."""
        self._me = f"{who}/{secrets.token_hex(4)}"
        self._lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": self.namespace},
            "spec": {},
        }
        status, answer = self._api.request("POST", self._leases, self._changed(self._me, record))
        if status == 409:
            # The answer to our own request may have been lost.
            return self.find() and self.holder == self._me
        if status >= 400:
            raise _refused("to create the Lease", status, answer)
        self._kept(answer)
        return True

    def take_over(self, who: str) -> bool:
        """Become the owner of a window that was found; False where another one was faster."""
        record = self.record
        self._me = f"{who}/{secrets.token_hex(4)}"
        try:
            self._put(self._me, record)
        except LostError:
            return False
        return True

    def renew(self, record: Record | None = None, *, patiently: bool = True) -> None:
        """Beat, and change the record where one is given.

        Raises:
            LostError: when another one has the Lease.
        """
        self._put(self._me, self.record if record is None else record, patiently=patiently)

    def beat(self, *, patiently: bool = True) -> None:
        """Beat where it is time to."""
        if time.monotonic() - self._beat >= self.timing.renew_s:
            self.renew(patiently=patiently)

    def let_go(self, record: Record) -> None:
        """Leave what remains to anybody, at once."""
        self._put("", replace(record, deadline=min(record.deadline, self.now())))

    def delete(self) -> None:
        """End the window: nothing remains."""
        metadata = self._lease["metadata"]
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": metadata["resourceVersion"]},
        }
        status, answer = self._api.request("DELETE", f"{self._leases}/{LEASE}", options)
        if status == 409:
            raise LostError(f"another one has the Lease {LEASE} now", TRANSIENT)
        if status >= 400 and status != 404:
            raise _refused("to delete the Lease", status, answer)

    def _changed(self, holder: str, record: Record) -> Document:
        document = copy.deepcopy(self._lease)
        now = time_text(self.now())
        document["metadata"].setdefault("annotations", {})[ANNOTATION] = record.to_json()
        spec = document["spec"]
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
        what = f"{self._leases}/{LEASE}"
        for _ in range(3):
            body = self._changed(holder, record)
            status, answer = self._api.request("PUT", what, body, patiently=patiently)
            if status < 400:
                self._kept(answer)
                return
            if status not in (404, 409):
                raise _refused("to change the Lease", status, answer)
            # The answer to an earlier request of ours may have been lost; then it is still ours.
            found = self._read()
            if not found:
                raise LostError(
                    f"the Lease {LEASE} is gone: another one restored it, or it was deleted by "
                    "hand; look whether what had the card has its replicas",
                    TRANSIENT,
                )
            # Where it is not, its version is left unknown here: with it we could change it.
            other = found["spec"].get("holderIdentity") or ""
            if other not in (self._me, holder):
                raise LostError(f"{other or 'another one'} has the window now", TRANSIENT)
            self._lease = found
        raise LostError(f"the Lease {LEASE} changes all the time", TRANSIENT)

    # The Deployments.

    def deployment(self, namespace: str, name: str) -> Document | None:
        """Read a Deployment; None where there is none."""
        return self._get(_deployment_path(namespace, name))

    def scale(self, namespace: str, name: str, replicas: int) -> str:
        """Scale a Deployment, one that is gone excepted; say why where it is refused."""
        self.renew()
        what = f"{_deployment_path(namespace, name)}/scale"
        body = {"spec": {"replicas": replicas}}
        status, answer = self._api.request("PATCH", what, body)
        if status == 404:
            self.say(f"{namespace}/{name} does not exist any more: nothing to scale")
        elif status >= 400:
            return str(_refused(f"PATCH {what}", status, answer))
        return ""

    def lingering(self, namespace: str, name: str) -> str:
        """Say which pods of a Deployment that was scaled to 0 are still there."""
        found = self.deployment(namespace, name)
        if found is None:
            return ""
        pods = self._pods(namespace, found)
        if not pods and not is_observed(found):
            return f"{namespace}/{name} to be scaled down"
        return ", ".join(f"pod {namespace}/{pod_text(each)} to go" for each in pods)

    def staying(self, namespace: str, name: str) -> str:
        """Say which pods of a Deployment that is scaled to 0 are not told to go yet.

        Scaled up before that, one of them would count as ready, and only then go.
        """
        found = self.deployment(namespace, name)
        if found is None or found["spec"]["replicas"] != 0:
            return ""
        pods = self._pods(namespace, found)
        told = [each for each in pods if "deletionTimestamp" in each["metadata"]]
        if len(told) == len(pods):
            return "" if is_observed(found) else f"{namespace}/{name} to be scaled down"
        return f"pods of {namespace}/{name} to be told to go"

    def ready_pods(self, namespace: str, deployment: Document) -> int:
        """Count a Deployment's ready pods, of which its own status says so a moment later."""
        return sum(is_ready(each) for each in self._pods(namespace, deployment))

    def unready(self, namespace: str, name: str, wanted: int) -> str:
        """Say what so many ready pods of a Deployment wait for."""
        found = None if wanted == 0 else self.deployment(namespace, name)
        if found is None:
            return ""
        pods = self._pods(namespace, found)
        ready = [each for each in pods if is_ready(each)]
        if is_observed(found) and len(ready) >= wanted:
            return ""
        waiting = [
            f"pod {namespace}/{pod_text(each)} to be ready" for each in pods if not is_ready(each)
        ]
        failure = condition(found, "ReplicaFailure")
        if not waiting and failure.get("status") == "True":
            waiting = [f"{namespace}/{name}: {message_of(failure)}"]
        return ", ".join(waiting) or f"a pod of {namespace}/{name}"

    def _pods(self, namespace: str, deployment: Document) -> list[Document]:
        query = urlencode({"labelSelector": label_selector(deployment["spec"]["selector"])})
        what = f"/api/v1/namespaces/{quote(namespace)}/pods?{query}"
        status, answer = self._api.request("GET", what)
        if status >= 400:
            raise _refused(f"GET {what}", status, answer)
        # A pod that ended holds nothing, and may be kept for its log.
        ended = ("Succeeded", "Failed")
        return [each for each in answer["items"] if each["status"].get("phase") not in ended]

    def wait(self, look: Callable[[], str], limit_s: float) -> str:
        """Wait until there is nothing to wait for, beating meanwhile.

        Returns:
            What it still waited for at the limit; empty: nothing.
        """
        started, said = time.monotonic(), ""
        while waiting := look():
            if waiting != said:
                self.say(f"waiting for {waiting}")
                said = waiting
            if time.monotonic() - started >= limit_s:
                break
            self.beat()
            time.sleep(self.timing.poll_s)
        return waiting


def _deployment_path(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{quote(namespace)}/deployments/{quote(name)}"


def _refused(what: str, status: int, answer: object) -> WindowError:
    return WindowError(
        f"the API server refuses {what} ({status}: {message_of(answer)})", NO_ACCESS
    )
