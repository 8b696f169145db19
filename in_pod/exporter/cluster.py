"""Read the cluster: the endpoint's pod, the window's Lease, the tenants, the volume's Jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, urlencode

from ..gpu_window.contract import ENDPOINT_DEPLOYMENT, LEASE
from ..gpu_window.errors import WindowError
from ..gpu_window.lease import WindowLease
from ..kubernetes.api import Api, Document
from ..kubernetes.asking import message_of
from ..kubernetes.pod_state import PodState, condition, pod_state
from ..kubernetes.pods import replicas_of
from ..kubernetes.times import parse_time
from ..kubernetes.workload import Workload

DOWNLOAD, UPKEEP = "model-download", "model-upkeep"
_NAME_LABEL = "app.kubernetes.io/name"
_MOST = 50
"""Objects of one list that are read."""


class ClusterError(Exception):
    """The API server did not answer as expected; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The endpoint's pod."""

    name: str
    state: PodState
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """A window whose Lease exists."""

    holder: str
    until: float | None
    """None if the record is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A workload that owns the card outside a window."""

    workload: Workload
    replicas: int | None
    """None if it does not exist."""
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What the Jobs say of the volume; each state is one of `contract.JOB_STATES`."""

    download: str
    verification: str
    verified: float | None
    """When a verification last succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the API server said."""

    pod: Pod | None
    window: OpenWindow | None
    tenants: tuple[Tenant, ...]
    volume: Volume


class ClusterReader:
    """Reads with the rights of the exporter's service account."""

    def __init__(self, api: Api, *, namespace: str, tenants: tuple[Workload, ...]) -> None:
        """Send no request yet.

        Args:
            api: The API server.
            namespace: The endpoint's namespace.
            tenants: The workloads that own the card outside a window.
        """
        self._api = api
        self._core = f"/api/v1/namespaces/{quote(namespace)}"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._batch = f"/apis/batch/v1/namespaces/{quote(namespace)}"
        self._tenants = tenants

    def read(self) -> View:
        """Read everything.

        Raises:
            ClusterError: when the API server refuses something or does not answer.
        """
        try:
            return View(
                pod=self._pod(),
                window=self._window(),
                tenants=tuple(map(self._tenant, self._tenants)),
                volume=self._volume(),
            )
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ClusterError(f"the API server's answer is invalid: {error}") from error
        except OSError as error:
            raise ClusterError(f"the API server does not answer: {error}") from error

    def _pod(self) -> Pod | None:
        pods = [
            Pod(
                name=str(pod["metadata"]["name"]),
                state=pod_state(pod),
                created=parse_time(pod["metadata"]["creationTimestamp"]),
            )
            for pod in self._list(f"{self._core}/pods", ENDPOINT_DEPLOYMENT)
        ]
        # The old pod may still end while the new one waits for the card.
        rank = {"ready": 0, "waits": 1, "failed": 1, "ending": 2, "over": 3}
        return min(pods, key=lambda pod: (rank[pod.state.meaning], -pod.created), default=None)

    def _window(self) -> OpenWindow | None:
        document = self._get(f"{self._leases}/{LEASE}")
        if document is None:
            return None
        lease = WindowLease(document, self._api.now)
        try:
            until = lease.deadline
        except WindowError:
            until = None
        return OpenWindow(holder=lease.holder, until=until)

    def _tenant(self, workload: Workload) -> Tenant:
        document = self._get(workload.path)
        if document is None:
            return Tenant(workload=workload, replicas=None, ready=0)
        ready = int((document.get("status") or {}).get("readyReplicas") or 0)
        return Tenant(workload=workload, replicas=replicas_of(document), ready=ready)

    def _volume(self) -> Volume:
        schedule = self._get(f"{self._batch}/cronjobs/{UPKEEP}") or {}
        verified = (schedule.get("status") or {}).get("lastSuccessfulTime")
        return Volume(
            download=self._last_job(DOWNLOAD),
            verification=self._last_job(UPKEEP),
            verified=None if verified is None else parse_time(verified),
        )

    def _last_job(self, component: str) -> str:
        jobs = self._list(f"{self._batch}/jobs", component)
        last = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None)
        if last is None:
            return "none"
        if condition(last, "Failed").get("status") == "True":
            return "failed"
        return "complete" if condition(last, "Complete").get("status") == "True" else "running"

    def _list(self, path: str, component: str) -> list[Document]:
        query = urlencode({"labelSelector": f"{_NAME_LABEL}={component}", "limit": _MOST})
        answer = self._get(f"{path}?{query}") or {}
        return cast("list[Document]", answer["items"])

    def _get(self, path: str) -> Document | None:
        status, answer = self._api.request("GET", path)
        if status == 404:
            return None
        if status != 200:
            raise ClusterError(
                f"the API server refuses GET {path} ({status}: {message_of(answer)})"
            )
        return answer
