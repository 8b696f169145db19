"""Everything that the exporter knows at one moment: for `/state` and for the gauges."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from .cluster import ClusterError, ClusterReader, View
from .endpoint_state import EndpointState, endpoint_state
from .timing import Timing
from .watch import Seen, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The front end, the cluster, and what both mean."""

    seen: Seen
    view: View | None
    """None without a cluster, or before its first answer."""
    has_cluster: bool
    cluster_reason: str
    """Why the cluster is not known at present; empty if it is."""
    endpoint: EndpointState
    since: float | None
    """When the endpoint came into its state, in seconds since 1970; None if it was so before."""
    ready_in_s: float | None
    """How long it still warms, if it takes as long as the last time."""
    time: float
    """Seconds since 1970."""


class Camera:
    """Takes pictures, and remembers when the endpoint changed."""

    def __init__(self, watch: Watch, cluster: ClusterReader | None) -> None:
        """Look at nothing yet.

        Args:
            watch: What is seen of the front end.
            cluster: The cluster (default: there is none).
        """
        self._watch = watch
        self._cluster = cluster
        self._lock = threading.Lock()
        self._view: View | None = None
        self._reason = "" if cluster is None else "the API server has not answered yet"
        self._state: str | None = None
        self._since: float | None = None
        self._warm_s: float | None = None
        """How long the endpoint warmed the last time."""

    def follow(self, stop: threading.Event, timing: Timing) -> None:
        """Take pictures, and read the cluster if there is one, until `stop` is set."""
        read_at = float("-inf")
        while not stop.wait(timing.tick_s):
            if self._cluster is not None and time.monotonic() - read_at >= timing.cluster_s:
                self._read(self._cluster)
                read_at = time.monotonic()
            # Nobody else may look while the endpoint changes.
            self.take()

    def take(self) -> Picture:
        """Take a picture."""
        seen = self._watch.seen()
        with self._lock:
            moment = time.time()
            endpoint = endpoint_state(
                self._view, front_end_reason=seen.reason, cluster_reason=self._reason
            )
            self._note(endpoint.state, moment)
            return Picture(
                seen=seen,
                view=None if self._reason else self._view,
                has_cluster=self._cluster is not None,
                cluster_reason=self._reason,
                endpoint=endpoint,
                since=self._since,
                ready_in_s=self._ready_in_s(endpoint.state, moment),
                time=moment,
            )

    def _read(self, cluster: ClusterReader) -> None:
        view, reason = self._view, ""
        try:
            view = cluster.read()
        except ClusterError as error:
            reason = str(error)
        with self._lock:
            self._view, self._reason = view, reason

    def _note(self, state: str, moment: float) -> None:
        if state == self._state:
            return
        if self._state == "warming" and state == "serves" and self._since is not None:
            self._warm_s = moment - self._since
        self._since = None if self._state is None else moment
        self._state = state

    def _ready_in_s(self, state: str, moment: float) -> float | None:
        if state != "warming" or self._warm_s is None or self._since is None:
            return None
        return max(0.0, self._warm_s - (moment - self._since))
