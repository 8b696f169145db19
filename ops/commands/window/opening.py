"""Open a window: pause Immich's queues, scale the tenants to 0, and wait for the endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain

from in_pod.gpu_window.contract import ENDPOINT_REPLICAS
from in_pod.gpu_window.declared import Declared
from in_pod.gpu_window.errors import UnansweredError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.record import Record, Tenant
from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Document
from in_pod.kubernetes.pod_state import pod_state
from in_pod.kubernetes.pods import pod_text, replicas_of
from in_pod.kubernetes.workload import Workload
from llama_swap_config.cluster.sharing import ByWindow
from ops.cluster.causes import failure_of
from ops.cluster.gpu_tenants import Holders, lacks, workload
from ops.cluster.patience import Key, Patience
from ops.errors import OpsError


def declared(sharing: ByWindow) -> Declared:
    """Return what the settings let a window change."""
    queues = [tenant.queues.names for tenant in sharing.tenants if tenant.queues is not None]
    return Declared(
        tenants=tuple(map(workload, sharing.tenants)), queues=tuple(chain.from_iterable(queues))
    )


def check(window: Window, tenants: tuple[Workload, ...]) -> None:
    """Check that all workloads of a window exist, and that the endpoint gives way to the tenants.

    Raises:
        OpsError: naming the missing workload and the setting that names it.
    """
    for tenant in tenants:
        if window.read(tenant) is None:
            raise OpsError(
                f"sharing.tenants names {tenant.kind} {tenant}, which does not exist; correct "
                "stacks/production.py, or KUBE_CTX"
            )
    endpoint = window.read(window.endpoint)
    if endpoint is None:
        raise OpsError(f"Deployment {window.endpoint} does not exist; deploy it first")
    if not endpoint["spec"]["template"]["spec"].get("priorityClassName"):
        raise OpsError(
            f"Deployment {window.endpoint} has no PriorityClass, so it would not give the card "
            "back; deploy it with sharing=ByWindow(...) first"
        )


def tenant_state(tenant: Workload, document: Document, ready_pods: int) -> Tenant:
    """Return the state of a tenant that the window will restore."""
    replicas = replicas_of(document)
    return Tenant(
        kind=tenant.kind,
        namespace=tenant.namespace,
        name=tenant.name,
        replicas=replicas,
        # A pod that was just scaled down stays ready until the controller has seen it.
        ready=min(replicas, ready_pods),
    )


class Opening:
    """The steps that open a window of ours, in their order and within one time limit."""

    def __init__(self, window: Window, *, wait_s: float, holders: Holders) -> None:
        self._window = window
        self._holders = holders
        self._wait_s = wait_s
        self._until = time.monotonic() + wait_s

    def record(
        self, tenants: tuple[Workload, ...], immich: Immich | None, queues: tuple[str, ...]
    ) -> Record:
        """Record what the window will restore, before it changes anything."""
        window = self._window
        running: tuple[str, ...] = ()
        if immich is not None:
            states = immich.queues()
            running = tuple(
                name for name in queues if name in states and not states[name].is_paused
            )
        record = replace(
            window.record,
            tenants=tuple(self._tenant(tenant) for tenant in tenants),
            endpoint_replicas=replicas_of(self._read(window.endpoint)),
            queues=running,
        )
        window.renew(record)
        return record

    def _tenant(self, tenant: Workload) -> Tenant:
        document = self._read(tenant)
        return tenant_state(tenant, document, self._window.ready_pods(tenant, document))

    def _read(self, workload: Workload) -> Document:
        document = self._window.read(workload)
        if document is None:
            raise OpsError(f"{workload.kind} {workload} no longer exists; deploy it, then retry")
        return document

    def pause(self, immich: Immich, names: tuple[str, ...]) -> None:
        """Pause the recorded queues, and wait until their running jobs have ended."""
        for name in self._window.record.queues:
            self._window.renew()
            immich.set_paused(name, True)

        def active() -> str:
            states = immich.queues()
            running = {name: states[name].active for name in names if name in states}
            counts = [f"{count} of {name}" for name, count in running.items() if count]
            return f"Immich's running jobs: {', '.join(counts)}" if counts else ""

        self._wait(active)

    def take_card(self) -> None:
        """Scale the tenants to 0, and wait until their pods have ended."""
        tenants = self._window.record.tenants
        for tenant in tenants:
            self._scale(tenant.workload, tenant.replicas, 0)
        for tenant in tenants:
            self._wait(partial(self._lingering, tenant.workload))

    def give_card(self) -> None:
        """Scale the endpoint up if it was at 0, and wait until its pod is ready."""
        window = self._window
        if window.record.endpoint_replicas == 0:
            self._scale(window.endpoint, 0, ENDPOINT_REPLICAS)

        patience = Patience()

        def unready() -> str:
            reason = window.unready(window.endpoint, 1)
            if not reason:
                return ""
            for tenant in window.record.tenants:
                self._check_scale(tenant.workload)
            self._check_failure(patience)
            holders = self._holders.line() if lacks(reason, self._holders.resource) else ""
            return f"{reason}; the card is held by {holders}" if holders else reason

        self._wait(unready)

    def _lingering(self, tenant: Workload) -> str:
        pending = self._window.lingering(tenant)
        if pending:
            self._check_scale(tenant)
        return pending

    def _check_failure(self, patience: Patience) -> None:
        """End the opening if the endpoint's pod has failed: the tenants wait for the card.

        Raises:
            OpsError: naming the pod and what to do.
        """
        window = self._window
        document = window.read(window.endpoint)
        pods = () if document is None else window.pods(window.endpoint, document)
        failed: dict[Key, Document] = {}
        for pod in pods:
            found = pod_state(pod)
            if found.meaning == "failed" and not lacks(found.reason, self._holders.resource):
                failed["Pod", "failed", found.cause] = pod
        for key in patience.lasting(failed):
            raise OpsError(
                f"the window is not open: pod {pod_text(failed[key])} does not start. "
                f"{failure_of(key[2]).remedy}"
            )

    def _check_scale(self, tenant: Workload) -> None:
        with suppress(UnansweredError):
            if scaled_up := self._window.scaled_up(tenant):
                raise OpsError(f"the window is not open: {scaled_up} meanwhile")

    def _scale(self, workload: Workload, found: int, wanted: int) -> None:
        problem = self._window.scale(workload, found=found, wanted=wanted)
        if problem:
            raise OpsError(problem)

    def _wait(self, pending: Callable[[], str]) -> None:
        waiting = self._window.wait(pending, self._until - time.monotonic())
        if waiting:
            raise OpsError(
                f"the window is not open after {self._wait_s:.0f} s: waiting for {waiting}. Pass "
                "a longer --wait"
            )
