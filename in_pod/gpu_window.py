#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""Give the card back to whom a window took it from; runs in a CronJob, and in `ops window`.

A window is one Lease, `gpu-window`: the lock (owner, heartbeat) and the record of what to put
back, written before anything is scaled. This program restores a window that is past its deadline
and whose owner's heartbeat has stopped. Standard library only, one file: it runs from a ConfigMap.

    python3 gpu_window.py --namespace llama-cpp

Environment: IMMICH_URL and IMMICH_API_KEY, where Immich's queues are to be resumed.

Exit codes: 0 restored, or nothing to do; 1 something remains, the lines say what; 65 the record
is damaged; 75 may heal by itself (no answer, or another one restores); 77 no access.
"""

from __future__ import annotations

import argparse
import copy
import http.client
import json
import os
import re
import secrets
import signal
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote, urlencode

REMAINS, BAD_DATA, TRANSIENT, NO_ACCESS = 1, 65, 75, 77

LEASE = "gpu-window"
ANNOTATION = "llama-cpp-infra/gpu-window"
DEPLOYMENT = "llama-swap"
"""The Deployment that gets the card, in the namespace of the Lease."""
DEAD_S = 60
"""A Lease that was not renewed for so long has no owner any more."""
TIMEOUT_S = 10.0

Document = dict[str, Any]
Say = Callable[[str], None]

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_QUEUE = re.compile(r"[A-Za-z]+")
_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


class Api(Protocol):
    """A connection to an API server, which asks once."""

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        """Ask; ConnectionError when no answer comes. PATCH is a JSON merge patch."""

    def now(self) -> float:
        """The API server's clock, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often is looked, and for how long."""

    poll_s: float = 1.0
    renew_s: float = 10.0
    """Between two heartbeats."""
    lease_s: int = DEAD_S
    """What the Lease says of itself: without a heartbeat for so long, its owner is dead."""
    gone_s: float = 180.0
    """For llama-swap's pod to go while the card is given back; it drains for up to 50 s."""
    ready_s: float = 600.0
    """For the others to be ready again: they may load models first."""
    patience_s: float = 300.0
    """For an API server that does not answer to answer again."""
    immich_patience_s: float = 30.0
    """For Immich; shorter than a Lease lives without a heartbeat."""


class WindowError(Exception):
    """What cannot go on, in one line, with the exit code that fits."""

    def __init__(self, message: str, code: int = REMAINS) -> None:
        super().__init__(message)
        self.code = code


class UnansweredError(WindowError):
    """No answer came for a while; nothing was given up, the Lease says what to put back."""


class LostError(WindowError):
    """Another one has the Lease now, or nobody: whatever is put back, it is not for us to do."""


# ---- The record ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A Deployment that had the card."""

    namespace: str
    deployment: str
    replicas: int
    """As many as it had."""
    ready: int
    """As many of them as were ready: the others may never have fitted."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.deployment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What there is to put back."""

    deadline: float
    """By the API server's clock, in seconds since 1970."""
    tenants: tuple[Tenant, ...] = ()
    llama_swap_replicas: int = 1
    """As many as are declared."""
    queues: tuple[str, ...] = ()
    """Those of Immich that ran and are paused; its address is in no record, because whoever
    writes there would be sent the key."""
    given_back: bool = False
    """Whether every Deployment has its replicas again and only the queues remain."""

    def to_json(self) -> str:
        """Write it as the annotation holds it."""
        document = asdict(self) | {"deadline": _time_text(self.deadline)}
        return json.dumps(document, indent=1)


def parse_record(text: object) -> Record:
    """Read the annotation.

    Raises:
        WindowError: when it is damaged; the message says what to do by hand.
    """
    try:
        document = json.loads(cast("str", text))
        record = Record(
            **document
            | {
                "deadline": _time(document["deadline"]),
                "tenants": tuple(Tenant(**each) for each in document["tenants"]),
                "queues": tuple(document["queues"]),
            }
        )
        names = [name for each in record.tenants for name in (each.namespace, each.deployment)]
        counts = [count for each in record.tenants for count in (each.replicas, each.ready)]
        sound = (
            all(_NAME.fullmatch(name) for name in names)
            and all(_QUEUE.fullmatch(name) for name in record.queues)
            and all(type(each) is int and each >= 0 for each in counts)
            and type(record.llama_swap_replicas) is int
            and type(record.given_back) is bool
        )
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise _damaged(" ".join(str(error).split())[:120]) from error
    if not sound:
        raise _damaged("a name or a number is none")
    return record


def _damaged(reason: str) -> WindowError:
    return WindowError(
        f"the Lease {LEASE} has no record that can be read ({ANNOTATION}: {reason}); scale what "
        "had the card by hand, resume Immich's queues, then delete the Lease",
        BAD_DATA,
    )


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _time_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:26] + "Z"


# ---- Asking --------------------------------------------------------------------------------


class Patient:
    """Asks again for a while where no answer comes, or one of a server in trouble."""

    def __init__(
        self,
        ask: Callable[[str, str, Document | None], tuple[int, Any]],
        who: str,
        *,
        patience_s: float,
        poll_s: float,
        say: Say,
    ) -> None:
        self._ask, self._who, self._say = ask, who, say
        self._patience_s, self._poll_s = patience_s, poll_s

    def request(
        self, method: str, path: str, body: Document | None = None, *, patiently: bool = True
    ) -> tuple[int, Any]:
        """Ask until there is an answer.

        Raises:
            UnansweredError: when there is none for too long; at once where not `patiently`.
        """
        started, said = time.monotonic(), False
        patience_s = self._patience_s if patiently else 0
        while True:
            try:
                status, answer = self._ask(method, path, body)
                if status < 500 and status != 429:
                    if said:
                        self._say(f"{self._who} answers again")
                    return status, answer
                reason = f"{status}: {message_of(answer)}"
            except ConnectionError as error:
                reason = str(error)
            if time.monotonic() - started >= patience_s:
                raise UnansweredError(f"{self._who} does not answer ({reason})", TRANSIENT)
            if not said:
                self._say(f"{self._who} does not answer ({reason}); asking for {patience_s:.0f} s")
                said = True
            time.sleep(self._poll_s)


def message_of(answer: object) -> str:
    """What a server says of its refusal, in one line."""
    found = answer.get("message", "") if isinstance(answer, dict) else ""
    return " ".join(str(found).split())[:300] or "it says nothing"


def refused(who: str, what: str, status: int, answer: object) -> WindowError:
    """Say that a server will not do what it is asked for."""
    return WindowError(f"{who} refuses {what} ({status}: {message_of(answer)})", NO_ACCESS)


# ---- The Lease and what it stands for ------------------------------------------------------


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
        self.timing = Timing() if timing is None else timing
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
        what = f"{self._leases}/{LEASE}"
        status, answer = self._api.request("GET", what)
        if status >= 400 and status != 404:
            raise refused("the API server", f"GET {what}", status, answer)
        return {} if status == 404 else cast("Document", answer)

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
            return _time(self._lease["spec"][name])
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
            raise refused("the API server", "to create the Lease", status, answer)
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
            raise refused("the API server", "to delete the Lease", status, answer)

    def _changed(self, holder: str, record: Record) -> Document:
        document = copy.deepcopy(self._lease)
        now = _time_text(self.now())
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
                raise refused("the API server", "to change the Lease", status, answer)
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
        what = _deployment_path(namespace, name)
        status, answer = self._api.request("GET", what)
        if status == 404:
            return None
        if status >= 400:
            raise refused("the API server", f"GET {what}", status, answer)
        return cast("Document", answer)

    def scale(self, namespace: str, name: str, replicas: int) -> str:
        """Scale a Deployment, one that is gone excepted; say why where it is refused."""
        self.renew()
        what = f"{_deployment_path(namespace, name)}/scale"
        body = {"spec": {"replicas": replicas}}
        status, answer = self._api.request("PATCH", what, body)
        if status == 404:
            self.say(f"{namespace}/{name} does not exist any more: nothing to scale")
        elif status >= 400:
            return str(refused("the API server", f"PATCH {what}", status, answer))
        return ""

    def lingering(self, namespace: str, name: str) -> str:
        """Say which pods of a Deployment that was scaled to 0 are still there."""
        found = self.deployment(namespace, name)
        if found is None:
            return ""
        pods = self._pods(namespace, found)
        if not pods and not _is_observed(found):
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
            return "" if _is_observed(found) else f"{namespace}/{name} to be scaled down"
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
        if _is_observed(found) and len(ready) >= wanted:
            return ""
        waiting = [
            f"pod {namespace}/{pod_text(each)} to be ready" for each in pods if not is_ready(each)
        ]
        failure = _condition(found, "ReplicaFailure")
        if not waiting and failure.get("status") == "True":
            waiting = [f"{namespace}/{name}: {message_of(failure)}"]
        return ", ".join(waiting) or f"a pod of {namespace}/{name}"

    def _pods(self, namespace: str, deployment: Document) -> list[Document]:
        query = urlencode({"labelSelector": label_selector(deployment["spec"]["selector"])})
        what = f"/api/v1/namespaces/{quote(namespace)}/pods?{query}"
        status, answer = self._api.request("GET", what)
        if status >= 400:
            raise refused("the API server", f"GET {what}", status, answer)
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


def _is_observed(deployment: Document) -> bool:
    observed = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"]["generation"])


def label_selector(selector: Document) -> str:
    """Write a Deployment's selector as a query has it."""
    forms = {
        "In": "{key} in ({values})",
        "NotIn": "{key} notin ({values})",
        "Exists": "{key}",
        "DoesNotExist": "!{key}",
    }
    terms = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", ()):
        values = ",".join(each.get("values") or ())
        terms.append(forms[each["operator"]].format(key=each["key"], values=values))
    return ",".join(terms)


def _condition(thing: Document, kind: str) -> Document:
    conditions = thing.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready, and not on its way out."""
    going = "deletionTimestamp" in pod["metadata"]
    return not going and _condition(pod, "Ready").get("status") == "True"


def pod_text(pod: Document) -> str:
    """Say what keeps a pod, and where."""
    metadata, name = pod["metadata"], pod["metadata"]["name"]
    node = pod["spec"].get("nodeName")
    where = f" on {node}" if node else ""
    if "deletionTimestamp" in metadata:
        # The moment at which it has to be gone, its grace period included.
        due = _time(metadata["deletionTimestamp"])
        asked = due - (metadata.get("deletionGracePeriodSeconds") or 0)
        since = datetime.fromtimestamp(asked, UTC).strftime("%H:%M:%S")
        return f"{name} (Terminating since {since} UTC{where})"
    if is_ready(pod):
        return f"{name} (Running{where})"
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{name} (not scheduled: {message_of(scheduled)})"
    status = pod["status"]
    for each in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        state = each.get("state", {})
        if reason := state.get("waiting", {}).get("reason"):
            return f"{name} ({each['name']}: {reason}{where})"
        if not each.get("ready") and "running" in state:
            return f"{name} ({each['name']} runs, not ready{where})"
    return f"{name} ({status.get('phase', 'Pending')}{where})"


# ---- Immich --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue of Immich's jobs."""

    is_paused: bool
    active: int
    """Jobs that run now; pausing lets them end."""


class Immich:
    """Immich's queues, by the API of 2.4 and later or the one before."""

    def __init__(self, url: str, key: str, *, say: Say, timing: Timing | None = None) -> None:
        """Ask nothing yet.

        Args:
            url: Where it listens, with or without `/api`.
            key: An administrator's.
            say: Takes a line for whoever waits.
            timing: Left out: what fits a real Immich.

        Raises:
            WindowError: when the address is none.
        """
        if not _ADDRESS.fullmatch(url):
            raise WindowError("IMMICH_URL is no address, such as http://immich-server:2283")
        self._url = url.rstrip("/").removesuffix("/api")
        self._key = key
        timing = Timing() if timing is None else timing
        self._api = Patient(
            self._ask,
            f"Immich at {self._url}",
            patience_s=timing.immich_patience_s,
            poll_s=timing.poll_s,
            say=say,
        )
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._is_old = False

    def queues(self) -> dict[str, Queue]:
        """Read every queue.

        Raises:
            WindowError: when Immich refuses the key, or does not answer.
        """
        status, answer = self._api.request("GET", self._paths)
        if status == 404 and not self._is_old:
            self._is_old = True
            status, answer = self._api.request("GET", self._paths)
        self._check(status, answer)
        try:
            if self._is_old:
                return {
                    name: Queue(
                        is_paused=each["queueStatus"]["isPaused"],
                        active=each["jobCounts"]["active"],
                    )
                    for name, each in answer.items()
                }
            return {
                each["name"]: Queue(
                    is_paused=each["isPaused"], active=each["statistics"]["active"]
                )
                for each in answer
            }
        except (LookupError, TypeError, AttributeError) as error:
            raise WindowError(f"{self._url} answers, but not as Immich does") from error

    def set_paused(self, name: str, paused: bool) -> None:
        """Pause a queue, or resume it; the jobs that run go on."""
        command = {"command": "pause" if paused else "resume"}
        body = command if self._is_old else {"isPaused": paused}
        status, answer = self._api.request("PUT", f"{self._paths}/{quote(name)}", body)
        if status == 404 and not self._is_old:
            self._is_old = True
            self.set_paused(name, paused)
            return
        self._check(status, answer)

    @property
    def _paths(self) -> str:
        return "/api/jobs" if self._is_old else "/api/queues"

    def _check(self, status: int, answer: object) -> None:
        if status in (401, 403):
            needed = "job.read and job.create" if self._is_old else "queue.read and queue.update"
            raise WindowError(
                f"Immich at {self._url} refuses IMMICH_API_KEY ({status}: {message_of(answer)}); "
                f"it has to be an administrator's, with {needed}",
                NO_ACCESS,
            )
        if status >= 300:
            raise WindowError(f"Immich at {self._url} answers {status}: {message_of(answer)}")

    def _ask(self, method: str, path: str, body: Document | None) -> tuple[int, Any]:
        headers = {"x-api-key": self._key, "Accept": "application/json"}
        status, answer, _ = _ask(self._opener, method, self._url + path, headers, body)
        return status, answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes to the address that was named, and no further."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _ask(
    opener: urllib.request.OpenerDirector,
    method: str,
    url: str,
    headers: dict[str, str],
    body: Document | None,
) -> tuple[int, Any, http.client.HTTPMessage | None]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - http and https alone are let through.
        url, data=data, headers={"Content-Type": "application/json"} | headers, method=method
    )
    try:
        try:
            with opener.open(request, timeout=TIMEOUT_S) as response:
                status, text, fields = response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                status, text, fields = error.code, error.read(), error.headers
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(" ".join(str(reason).split())[:300] or "no answer") from error
    try:
        return status, json.loads(text or b"null"), fields
    except ValueError:
        return status, {"message": text[:300].decode(errors="replace")}, fields


# ---- Restoring -----------------------------------------------------------------------------


def restore(window: Window, immich: Immich | None) -> tuple[str, ...]:
    """Put back what the record of a window that we have names, and delete the Lease.

    Always the same: llama-swap off the card, the others to the replicas they had and ready,
    llama-swap to its declared replicas, the queues resumed. A run that is killed is run again.

    Args:
        window: The window, created or taken over.
        immich: Where to resume the queues; None: no key is known.

    Returns:
        What remains, a line each; the Lease then stays, unless it could not say more than that.

    Raises:
        LostError: when another one took it over.
        UnansweredError: when the API server does not answer for a while.
    """
    record, problems, waiting = window.record, [], ""
    tenants = record.tenants

    def unready() -> str:
        found = (window.unready(each.namespace, each.deployment, each.ready) for each in tenants)
        return ", ".join(filter(None, found))

    if tenants and not record.given_back:
        window.say(f"giving the card back to {', '.join(map(str, tenants))}")
        problems.append(window.scale(window.namespace, DEPLOYMENT, 0))
        lingering = partial(window.lingering, window.namespace, DEPLOYMENT)
        stuck = _waited(window, lingering, window.timing.gone_s)
        if stuck:
            window.say(f"not waiting any longer: {stuck}")
        for each in tenants:
            # Where it ends just when it has scaled them down, that has to come first.
            staying = partial(window.staying, each.namespace, each.deployment)
            _waited(window, staying, window.timing.gone_s)
            problems.append(window.scale(each.namespace, each.deployment, each.replicas))
        waiting = _waited(window, unready, window.timing.ready_s)
        # Also where they are not ready: their replicas are back, the scheduler sees to the rest.
        problems.append(window.scale(window.namespace, DEPLOYMENT, record.llama_swap_replicas))
    elif record.queues:
        waiting = _waited(window, unready, window.timing.ready_s)
    if problems := [each for each in problems if each]:
        window.let_go(record)
        return tuple(problems)
    remains = [f"the replicas are back, but not ready: {waiting}"] if waiting else []
    if record.queues:
        reason = waiting or _resume(record.queues, immich)
        if reason:
            names = ", ".join(record.queues)
            line = "they follow when that is ready" if waiting else reason
            remains.append(f"Immich's queues {names} stay paused: {line}")
            window.let_go(replace(record, given_back=True))
            return tuple(remains)
    window.delete()
    return tuple(remains)


def _waited(window: Window, look: Callable[[], str], limit_s: float) -> str:
    """Wait, and take a refusal for something that it still waits for: restoring has to go on."""
    try:
        return window.wait(look, limit_s)
    except (LostError, UnansweredError):
        raise
    except WindowError as error:
        return str(error)


def _resume(names: tuple[str, ...], immich: Immich | None) -> str:
    """Resume queues; say why not."""
    if immich is None:
        return "IMMICH_API_KEY is not set; set it and run python -m ops window --restore"
    try:
        for name in names:
            immich.set_paused(name, False)
    except WindowError as error:
        return str(error)
    return ""


# ---- In the cluster ------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class InClusterApi:
    """The API server as a pod reaches it, with its service account."""

    service_account_dir: Path
    url: str
    _ahead_s: float = field(default=0.0, init=False)
    _opener: urllib.request.OpenerDirector = field(init=False)

    def __post_init__(self) -> None:
        context = ssl.create_default_context(cafile=str(self.service_account_dir / "ca.crt"))
        # Since Python 3.13 a CA without a key identifier is refused, and clusters have such CAs.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def request(
        self, method: str, path: str, body: Document | None = None
    ) -> tuple[int, Document]:
        """Ask; ConnectionError when no answer comes. PATCH is a JSON merge patch."""
        kind = "merge-patch+json" if method == "PATCH" else "json"
        # The kubelet renews the token while we run.
        token = (self.service_account_dir / "token").read_text(encoding="ascii").strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"application/{kind}"}
        status, answer, fields = _ask(self._opener, method, self.url + path, headers, body)
        if fields is not None and "date" in fields:
            server = parsedate_to_datetime(fields["date"]).timestamp()
            self._ahead_s = server - time.time()
        return status, answer if isinstance(answer, dict) else {}

    def now(self) -> float:
        """The API server's clock, in seconds since 1970."""
        return time.time() + self._ahead_s


def restore_past_deadline(window: Window, immich: Immich | None, *, who: str) -> tuple[str, ...]:
    """Restore a window whose time is up and whose owner is silent; leave every other alone."""
    if not window.find():
        return ()
    left_s = window.record.deadline - window.now()
    # One that was let go is anybody's: its deadline is the time of then, by a clock of whole
    # seconds, which may not be reached yet by this one.
    if window.holder and (left_s > 0 or not window.is_dead):
        until = (
            f"{left_s:.0f} s left" if left_s > 0 else f"a heartbeat {window.silent_s:.0f} s ago"
        )
        window.say(f"the window of {window.holder} is left alone: {until}")
        return ()
    window.say(f"the window of {window.holder or 'nobody'} is past its deadline: restoring")
    if not window.take_over(who):
        raise LostError("another one restores the window", TRANSIENT)
    return restore(window, immich)


def main(arguments: list[str] | None = None, *, timing: Timing | None = None) -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        prog="gpu_window.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--namespace", required=True, help="where the Lease and llama-swap are")
    parser.add_argument(
        "--service-account-dir",
        type=Path,
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        help="token and ca.crt (%(default)s)",
    )
    options = parser.parse_args(arguments)
    # The first process of a container ignores SIGTERM unless it says otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TRANSIENT))

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        api = InClusterApi(
            service_account_dir=options.service_account_dir, url=f"https://{host}:{port}"
        )
        url, key = os.environ.get("IMMICH_URL", ""), os.environ.get("IMMICH_API_KEY", "")
        immich = Immich(url, key, say=say, timing=timing) if url and key else None
        window = Window(api, namespace=options.namespace, say=say, timing=timing)
        who = f"cronjob@{socket.gethostname()}"
        remains = restore_past_deadline(window, immich, who=who)
    except WindowError as error:
        say(f"error: {error}")
        return error.code
    except KeyError as error:
        say(f"error: {error.args[0]} is not set; this runs in a pod, with its service account")
        return NO_ACCESS
    except OSError as error:
        say(f"error: {error}; the pod's service account is read from --service-account-dir")
        return NO_ACCESS
    for line in remains:
        say(f"error: {line}")
    return REMAINS if remains else 0


if __name__ == "__main__":
    sys.exit(main())
