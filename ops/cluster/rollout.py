"""Follow what an apply has changed until it serves, waits for what is declared, or has failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from urllib.parse import urlencode

from in_pod.kubernetes.pod_state import TERMINATING
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from ops.cluster import object_states, workload_states
from ops.cluster.api import Document, KubeApi, UnreachableError
from ops.cluster.gpu_tenants import Holders, is_of_tenant, lacks
from ops.cluster.object_states import Meaning, ObjectState
from ops.cluster.paths import object_path
from ops.cluster.patience import Key, Patience
from ops.cluster.workload_states import owned_by
from ops.errors import OpsError, one_line
from ops.report.redaction import redact
from ops.report.terminal import Say
from ops.terraform.manifests import Manifest

_KINDS = (
    *("Namespace", "PersistentVolume", "PersistentVolumeClaim"),
    *("Job", "CronJob", "Deployment"),
)
"""The kinds whose objects can wait or fail."""
_WITHOUT_NAMESPACE = ("Namespace", "PersistentVolume")
_POLL_S = 0.5
_NO_LOG = "unable to retrieve container logs"
"""What the kubelet writes, with status 200, where the log is gone."""
_LOG_EVERY_S, _LOG_TIMEOUT_S = 15, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How following an apply ended."""

    objects: tuple[ObjectState, ...]
    failed: tuple[ObjectState, ...] = ()
    """Those that stay as they are until somebody acts."""
    revision: int = 1
    """How often the pods of a Deployment have changed; 1 after the first deploy."""
    endpoints: int = 1
    """How many endpoints were followed, one of each pool."""

    def of(self, *meanings: Meaning) -> tuple[ObjectState, ...]:
        """Return the objects with one of these meanings."""
        return tuple(each for each in self.objects if each.meaning in meanings)


class Rollout:
    """The objects of one endpoint in a cluster."""

    def __init__(
        self,
        api: KubeApi,
        objects: Sequence[Manifest],
        *,
        resource: str,
        tenants: Sequence[GpuTenant] = (),
        node_selector: Mapping[str, str] | None = None,
    ) -> None:
        """Look at nothing yet.

        Args:
            api: The cluster. It is only read.
            objects: Those of the endpoint.
            resource: The extended resource that the card is.
            tenants: Those for whose card the endpoint may wait (default: none).
            node_selector: The labels of its nodes where there are several pools; its objects are
                then shown with their namespace (default: there is one pool).
        """
        self._api = api
        self._objects = objects
        self._resource = resource
        self._tenants = tenants
        self._holders = Holders(api, resource, tenants=tenants, node_selector=node_selector)
        self._is_one_of_several = node_selector is not None
        self.revision = 1
        """The highest one of its Deployments, as far as was looked."""
        self._logs: dict[str, tuple[float, str]] = {}
        (self._namespace,) = (
            manifest["metadata"]["name"] for manifest in objects if manifest["kind"] == "Namespace"
        )

    def look(self) -> tuple[ObjectState, ...]:
        """Return the state of each object that can wait or fail.

        Raises:
            OpsError: if the API server does not answer or refuses.
        """
        states = tuple(self._look())
        if not self._is_one_of_several:
            return states
        return tuple(
            state
            if state.kind in _WITHOUT_NAMESPACE
            else replace(state, namespace=self._namespace)
            for state in states
        )

    def look_with_logs(self) -> tuple[ObjectState, ...]:
        """Look; add what the containers of pods that wait wrote last.

        Raises:
            OpsError: if the API server does not answer or refuses.
        """
        return tuple(map(self._with_log, self.look()))

    def _look(self) -> Iterator[ObjectState]:
        pods = cache(partial(self._list, "/api/v1", "pods"))
        for manifest in self._objects:
            if manifest["kind"] not in _KINDS:
                continue
            document = self._api.get(object_path(manifest))
            if document is None:
                yield object_states.absent(manifest)
            else:
                yield from _with_owner(map(self._declared, self._read(document, pods)))

    def _read(
        self, document: Document, pods: Callable[[], list[Document]]
    ) -> Iterable[ObjectState]:
        match document["kind"]:
            case "Namespace":
                return object_states.namespace(document)
            case "PersistentVolume":
                return object_states.volume(document)
            case "PersistentVolumeClaim":
                return [object_states.claim(document, self._latest_event)]
            case "CronJob":
                return object_states.cron_job(document)
            case "Job":
                return workload_states.job(
                    document,
                    owned_by(document, pods()),
                    latest_event=self._latest_event,
                    now_s=self._api.now(),
                )
        annotations = document["metadata"].get("annotations") or {}
        revision = int(annotations.get("deployment.kubernetes.io/revision", 1))
        self.revision = max(self.revision, revision)
        return workload_states.deployment(
            document,
            self._list("/apis/apps/v1", "replicasets"),
            pods(),
            latest_event=self._latest_event,
            now_s=self._api.now(),
        )

    def _list(self, root: str, resource: str, query: str = "") -> list[Document]:
        listing = self._api.get(f"{root}/namespaces/{self._namespace}/{resource}{query}") or {}
        items: list[Document] = listing.get("items") or []
        return sorted(items, key=lambda item: item["metadata"].get("creationTimestamp") or "")

    def _latest_event(self, document: Document) -> Document:
        query = urlencode({"fieldSelector": f"involvedObject.uid={document['metadata']['uid']}"})
        return max(self._list("/api/v1", "events", f"?{query}"), key=_time_of, default={})

    def _declared(self, found: ObjectState) -> ObjectState:
        """Recognise a pod that waits for the card while a tenant has it, or will have it."""
        if found.cause != "node" or not lacks(found.reason, self._resource):
            return found
        holders = self._holders.pods()
        if not holders and self._holders.is_known:
            return found
        if not holders:
            reason = (
                f"{found.reason}; who holds the card is not known: this account may not list pods"
            )
            return replace(found, reason=reason, meaning="waits", cause=None)
        found = replace(found, reason=f"{found.reason}; {', '.join(holders)} holds the card")
        if any(is_of_tenant(holder, self._tenants) for holder in holders):
            return replace(found, meaning="declared", cause=None)
        if any(TERMINATING in holder for holder in holders):
            return replace(found, meaning="waits", cause=None)
        return found

    def _with_log(self, found: ObjectState) -> ObjectState:
        """Add the last line that a container wrote, as seen in the last 15 s."""
        if found.kind != "Pod" or not found.container or found.is_settled:
            return found
        # Of a container that has ended and waits, the kubelet returns the last run's.
        key = f"{found.name}/log?container={found.container}&tailLines=1"
        read_at, line = self._logs.get(key, (float("-inf"), ""))
        if time.monotonic() - read_at >= _LOG_EVERY_S:
            pods = f"/api/v1/namespaces/{self._namespace}/pods"
            # A container that has not started has no log, and its node may not answer.
            with suppress(OpsError):
                written = self._api.text(f"{pods}/{key}", timeout_s=_LOG_TIMEOUT_S)
                if not written.startswith(_NO_LOG):
                    line = one_line(redact(written), limit=160)
            self._logs[key] = time.monotonic(), line
        return replace(found, reason=f"{found.reason}: {line}") if line else found


def follow(rollouts: Sequence[Rollout], *, wait_s: float, say: Say) -> Outcome:
    """Look until everything serves, waits for what is declared, or has failed.

    Args:
        rollouts: The endpoints.
        wait_s: The longest wait in seconds.
        say: Receives a line whenever what is waited for changes.

    Raises:
        OpsError: if the API server refuses, or does not answer until the time is over.
    """
    until = time.monotonic() + wait_s
    patience = Patience()
    said = ""
    while True:
        is_last = time.monotonic() >= until
        try:
            objects = tuple(state for rollout in rollouts for state in rollout.look_with_logs())
        except UnreachableError as error:
            if is_last:
                raise
            line = f"{error}; asking again"
        else:
            keys = patience.lasting(map(_key, objects))
            lasting = [each for each in objects if is_last or _key(each) in keys]
            outcome = Outcome(
                objects=objects,
                failed=tuple(each for each in lasting if each.meaning == "failed"),
                revision=max(rollout.revision for rollout in rollouts),
                endpoints=len(rollouts),
            )
            has_ended = not outcome.of("waits", "failed") and len(lasting) == len(objects)
            if is_last or outcome.failed or has_ended:
                return outcome
            line = f"waiting for {text(outcome.of('waits', 'declared', 'failed'))}"
        if line != said:
            say(line)
            said = line
        time.sleep(min(_POLL_S, max(0, until - time.monotonic())))


def _with_owner(objects: Iterable[ObjectState]) -> Iterable[ObjectState]:
    """Let a Deployment wait for what is declared if its pod does."""
    found = list(objects)
    pods = [each for each in found if each.kind == "Pod" and not each.is_settled]
    if pods and all(pod.meaning == "declared" for pod in pods):
        return [
            each if each.meaning in ("declared", "stopped") else replace(each, meaning="declared")
            for each in found
        ]
    return found


def text(objects: Iterable[ObjectState]) -> str:
    """Say in one line what objects wait for."""
    return "; ".join(waits(objects))


def waits(objects: Iterable[ObjectState]) -> Iterator[str]:
    """Say what each object waits for; a Job or a Deployment says less than its pod."""
    waiting = [each for each in objects if not each.is_settled]
    telling = [each for each in waiting if each.kind not in ("Deployment", "Job")]
    for each in telling or waiting:
        yield f"{each.kind} {each.shown_name}: {each.reason}"


def _key(found: ObjectState) -> Key:
    return f"{found.namespace}/{found.kind}", found.meaning, found.cause


def _time_of(event: Document) -> str:
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    # Those with microseconds sort behind the same second without.
    return next((str(time) for time in times if time), "")
