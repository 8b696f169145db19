"""Open a window: pause the others' work, take the card from them, give it to llama-swap."""

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
    """Refuse to open a window for what is not there; nothing is changed.

    Raises:
        OpsError: naming the Deployment, and the setting that names it.
    """
    for each in tenants:
        if window.deployment(each.namespace, each.deployment) is None:
            raise OpsError(
                f"gpu_window.tenants names Deployment {each.namespace}/{each.deployment}, which "
                "does not exist; correct stacks/production.py, or KUBE_CTX"
            )
    if window.deployment(window.namespace, ENDPOINT_DEPLOYMENT) is None:
        raise OpsError(
            f"Deployment {window.namespace}/{ENDPOINT_DEPLOYMENT} does not exist; deploy it first"
        )


def as_it_is(tenant: GpuTenant, found: Document, ready_pods: int) -> Tenant:
    """Say what a Deployment has, to be put back."""
    replicas: int = found["spec"].get("replicas", 1)
    return Tenant(
        namespace=tenant.namespace,
        deployment=tenant.deployment,
        replicas=replicas,
        # A pod that was just scaled down is ready until the controller has seen that.
        ready=min(replicas, ready_pods),
    )


class Opening:
    """The steps of opening a window that is ours, in their order, within a limit in all."""

    def __init__(self, window: Window, *, wait_s: float, holders: Holders) -> None:
        self._window = window
        self._holders = holders
        self._wait_s = wait_s
        self._until = time.monotonic() + wait_s

    def record(
        self, tenants: tuple[GpuTenant, ...], immich: Immich | None, queues: tuple[str, ...]
    ) -> Record:
        """Write down what there will be to put back, before anything of it is changed."""
        window = self._window
        running: tuple[str, ...] = ()
        if immich is not None:
            found = immich.queues()
            running = tuple(each for each in queues if each in found and not found[each].is_paused)
        record = replace(
            window.record,
            tenants=tuple(self._tenant(each) for each in tenants),
            llama_swap_replicas=ENDPOINT_REPLICAS,
            queues=running,
        )
        window.renew(record)
        return record

    def _tenant(self, tenant: GpuTenant) -> Tenant:
        found = self._window.deployment(tenant.namespace, tenant.deployment)
        if found is None:
            raise OpsError(f"Deployment {tenant.namespace}/{tenant.deployment} is gone")
        return as_it_is(tenant, found, self._window.ready_pods(tenant.namespace, found))

    def pause(self, immich: Immich, names: tuple[str, ...]) -> None:
        """Pause queues, and wait until the jobs that run have ended."""
        for name in self._window.record.queues:
            self._window.renew()
            immich.set_paused(name, True)

        def active() -> str:
            found = immich.queues()
            running = {name: found[name].active for name in names if name in found}
            lines = [f"{count} of {name}" for name, count in running.items() if count]
            return f"Immich's jobs that run: {', '.join(lines)}" if lines else ""

        self._wait(active)

    def take_card(self) -> None:
        """Scale the others to 0, and wait until their pods are gone."""
        tenants = self._window.record.tenants
        for each in tenants:
            self._scale(each.namespace, each.deployment, 0)
        for each in tenants:
            self._wait(partial(self._window.lingering, each.namespace, each.deployment))

    def give_card(self) -> None:
        """Scale llama-swap to its declared replicas, and wait until it is ready."""
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

    def _wait(self, look: Callable[[], str]) -> None:
        waiting = self._window.wait(look, self._until - time.monotonic())
        if waiting:
            raise OpsError(
                f"not open after {self._wait_s:.0f} s, still waiting for {waiting}; --wait waits "
                "longer"
            )
