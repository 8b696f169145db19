"""Open a window: pause Immich's queues, scale the tenants to 0, and start llama-swap."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from in_pod.gpu_window.api import Document
from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.record import Record, Tenant
from in_pod.gpu_window.window import Window
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from ops.commands.window.holders import Holders
from ops.errors import OpsError


def check(window: Window, tenants: tuple[GpuTenant, ...]) -> None:
    """Check that all Deployments of a window exist.

    Raises:
        OpsError: naming the missing Deployment and the setting that names it.
    """
    for tenant in tenants:
        if window.deployment(tenant.namespace, tenant.name) is None:
            raise OpsError(
                f"sharing.tenants names Deployment {tenant.namespace}/{tenant.name}, "
                "which does not exist; correct stacks/production.py, or KUBE_CTX"
            )
    if window.deployment(window.namespace, ENDPOINT_DEPLOYMENT) is None:
        raise OpsError(
            f"Deployment {window.namespace}/{ENDPOINT_DEPLOYMENT} does not exist; deploy it first"
        )


def tenant_state(tenant: GpuTenant, deployment: Document, ready_pods: int) -> Tenant:
    """Return the state of a tenant's Deployment that the window will restore."""
    replicas: int = deployment["spec"].get("replicas", 1)
    return Tenant(
        namespace=tenant.namespace,
        deployment=tenant.name,
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
        self, tenants: tuple[GpuTenant, ...], immich: Immich | None, queues: tuple[str, ...]
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
            llama_swap_replicas=ENDPOINT_REPLICAS,
            queues=running,
        )
        window.renew(record)
        return record

    def _tenant(self, tenant: GpuTenant) -> Tenant:
        deployment = self._window.deployment(tenant.namespace, tenant.name)
        if deployment is None:
            raise OpsError(
                f"Deployment {tenant.namespace}/{tenant.name} no longer exists; deploy it, "
                "then retry"
            )
        ready_pods = self._window.ready_pods(tenant.namespace, deployment)
        return tenant_state(tenant, deployment, ready_pods)

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
            self._scale(tenant.namespace, tenant.deployment, 0)
        for tenant in tenants:
            self._wait(partial(self._window.lingering, tenant.namespace, tenant.deployment))

    def give_card(self) -> None:
        """Scale llama-swap to its declared replicas, and wait until its pod is ready."""
        window = self._window
        self._scale(window.namespace, ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS)

        def unready() -> str:
            reason = window.unready(window.namespace, ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS)
            holders = self._holders.line() if "nvidia.com/gpu" in reason else ""
            return f"{reason}; the card is held by {holders}" if holders else reason

        self._wait(unready)

    def _scale(self, namespace: str, deployment: str, replicas: int) -> None:
        problem = self._window.scale(namespace, deployment, replicas)
        if problem:
            raise OpsError(problem)

    def _wait(self, pending: Callable[[], str]) -> None:
        waiting = self._window.wait(pending, self._until - time.monotonic())
        if waiting:
            raise OpsError(
                f"the window is not open after {self._wait_s:.0f} s: waiting for {waiting}. Pass "
                "a longer --wait"
            )
