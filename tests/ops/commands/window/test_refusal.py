"""A window that was left when windows were still declared."""

from __future__ import annotations

from in_pod.gpu_window.record import Record
from ops.commands.window.refusal import left_window
from tests.fakes.lease_server import TENANT, LeaseServer


def test_a_window_that_was_left_is_named_with_what_to_do() -> None:
    server = LeaseServer()
    assert left_window(server, "llama-cpp") == ""
    server.put(Record(deadline=0, tenants=(TENANT,)), holder="me@here", renewed_s_ago=100)
    assert left_window(server, "llama-cpp") == (
        "a window of sharing=ByWindow(...) is left: its Lease names Deployment "
        "immich/immich-machine-learning to 2. Scale by hand, resume Immich's queues, then "
        "kubectl -n llama-cpp delete lease gpu-window"
    )
    assert server.writes == []
