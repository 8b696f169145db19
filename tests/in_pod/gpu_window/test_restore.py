"""The CronJob restores abandoned windows and no others, and only what the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from in_pod.gpu_window.__main__ import main
from in_pod.gpu_window.contract import LONGEST_S, NO_ACCESS
from in_pod.gpu_window.errors import WindowError
from in_pod.gpu_window.immich import Immich
from in_pod.gpu_window.record import Record
from in_pod.gpu_window.restore import restore_past_deadline
from in_pod.gpu_window.window import Window
from tests.fakes.immich_queues import KEY, FakeImmich
from tests.fakes.lease_server import DECLARED, QUICK, TENANT, LeaseServer

ENDPOINT = "/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap"


def test_a_released_window_is_restored_despite_a_clock_one_second_behind(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    window.let_go(replace(record, tenants=(), queues=()))
    server.clock -= 1  # The API server's time has whole seconds.
    assert restore_past_deadline(window, None, DECLARED, who="cronjob@pod") == ()
    assert server.lease is None


@pytest.mark.parametrize(
    ("left_s", "renewed_s_ago", "line"),
    [
        (60, 600, "the window of me@here is open: 60 s left"),
        (-60, 10, "the window of me@here is open: last heartbeat 10 s ago"),
    ],
)
def test_an_open_window_is_not_restored(
    server: LeaseServer,
    window: Window,
    lines: list[str],
    record: Record,
    left_s: float,
    renewed_s_ago: float,
    line: str,
) -> None:
    late = replace(record, deadline=server.clock + left_s)
    server.put(late, holder="me@here", renewed_s_ago=renewed_s_ago)
    assert restore_past_deadline(window, None, DECLARED, who="cronjob@pod") == ()
    assert lines == [line]
    assert server.writes == []


def test_without_a_window_nothing_is_printed(window: Window, lines: list[str]) -> None:
    assert restore_past_deadline(window, None, DECLARED, who="cronjob@pod") == ()
    assert lines == []


# ---- What a record may not do ------------------------------------------------------------------


@pytest.fixture
def immich() -> Iterator[FakeImmich]:
    with FakeImmich() as fake:
        yield fake


def restored(server: LeaseServer, window: Window, record: Record) -> tuple[str, ...]:
    """Restore a window whose owner is dead; return what is not restored."""
    late = replace(record, deadline=server.clock - 60)
    server.put(late, holder="me@elsewhere", renewed_s_ago=600)
    return restore_past_deadline(window, None, DECLARED, who="cronjob@pod")


def scales(server: LeaseServer) -> list[str]:
    return [write for write in server.writes if write.startswith("scale ")]


def test_a_tenant_that_is_still_at_0_gets_its_replicas(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.replicas = {TENANT.workload.path: 0}
    assert restored(server, window, replace(record, queues=()))[1:] == ()
    assert scales(server) == ["scale immich-machine-learning to 2"]


def test_the_owners_later_choice_wins(
    server: LeaseServer, window: Window, lines: list[str], record: Record
) -> None:
    server.replicas = {TENANT.workload.path: 3, ENDPOINT: 4}
    restored(server, window, replace(record, endpoint_replicas=0, queues=()))
    assert scales(server) == []
    assert (
        "immich/immich-machine-learning was scaled to 3 by kubectl during the window, and stays so"
        in lines
    )
    assert (
        "llama-cpp/llama-swap was scaled to 4 by kubectl during the window, and stays so" in lines
    )


def test_a_choice_between_our_look_and_our_write_wins(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.replicas = {TENANT.workload.path: 0}
    server.rescaled = {TENANT.workload.path: 5}
    restored(server, window, replace(record, queues=()))
    assert scales(server) == []
    assert server.replicas[TENANT.workload.path] == 5


def test_an_endpoint_that_was_found_at_0_returns_to_0(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.replicas = {TENANT.workload.path: 0, ENDPOINT: 1}
    restored(server, window, replace(record, endpoint_replicas=0, queues=()))
    assert server.replicas == {TENANT.workload.path: 2, ENDPOINT: 0}


def test_a_workload_that_the_settings_do_not_name_is_never_scaled(
    server: LeaseServer, window: Window, record: Record
) -> None:
    dns = replace(TENANT, namespace="kube-system", name="coredns", replicas=0)
    server.replicas = {TENANT.workload.path: 0, dns.workload.path: 2}
    problems = restored(server, window, replace(record, tenants=(dns, TENANT), queues=()))
    assert scales(server) == ["scale immich-machine-learning to 2"]
    assert [problem for problem in problems if problem.startswith("the record")] == [
        "the record of the Lease gpu-window names Deployment kube-system/coredns, which "
        "sharing.tenants in stacks/production.py does not; it is left as it is. Restore it by "
        "hand if a window changed it, then delete the Lease"
    ]
    assert server.lease is not None


def test_a_statefulset_of_a_tenants_name_is_another_workload(
    server: LeaseServer, window: Window, record: Record
) -> None:
    other = replace(TENANT, kind="StatefulSet")
    server.replicas = {other.workload.path: 0}
    (problem,) = restored(server, window, replace(record, tenants=(other,), queues=()))
    assert "names StatefulSet immich/immich-machine-learning, which" in problem
    assert scales(server) == []


def test_a_queue_that_the_settings_do_not_name_is_never_resumed(
    server: LeaseServer, window: Window, record: Record, immich: FakeImmich
) -> None:
    immich.paused |= {"backup": True, "ocr": True}
    late = replace(record, deadline=server.clock - 60, tenants=(), queues=("ocr", "backup"))
    server.put(late, holder="me@elsewhere", renewed_s_ago=600)
    client = Immich(immich.url, KEY, say=print, timing=QUICK)
    (problem,) = restore_past_deadline(window, client, DECLARED, who="cronjob@pod")
    assert "names the queue backup, which" in problem
    assert immich.paused["backup"]
    assert not immich.paused["ocr"]
    assert server.lease is not None


def test_what_is_restored_is_not_restored_again(
    server: LeaseServer, window: Window, record: Record
) -> None:
    """A foreign tenant keeps the Lease; its owner may scale ours down again meanwhile."""
    dns = replace(TENANT, namespace="kube-system", name="coredns", replicas=0)
    server.replicas = {TENANT.workload.path: 0, dns.workload.path: 2}
    assert restored(server, window, replace(record, tenants=(dns, TENANT), queues=()))
    server.replicas[TENANT.workload.path] = 0
    assert restore_past_deadline(window, None, DECLARED, who="cronjob@pod")
    assert server.replicas[TENANT.workload.path] == 0
    assert window.record.tenants == (dns,)


def test_a_tenant_that_may_not_be_read_leaves_the_others_restored(
    server: LeaseServer, window: Window, record: Record
) -> None:
    other = replace(TENANT, name="transcoder")
    server.replicas = {other.workload.path: 0, ENDPOINT: 1}
    server.forbidden = {TENANT.workload.path}
    late = replace(
        record, deadline=server.clock - 60, tenants=(TENANT, other), endpoint_replicas=0, queues=()
    )
    server.put(late, holder="me@elsewhere", renewed_s_ago=600)
    named = replace(DECLARED, tenants=(TENANT.workload, other.workload))
    (problem,) = restore_past_deadline(window, None, named, who="cronjob@pod")
    assert "refuses GET" in problem
    assert server.replicas == {other.workload.path: 2, ENDPOINT: 0}
    assert window.record.tenants == (TENANT,)


def test_a_deadline_of_another_century_is_past(
    server: LeaseServer, window: Window, record: Record
) -> None:
    forged = replace(record, deadline=server.clock + 10**9, tenants=(), queues=())
    server.put(forged, holder="me@elsewhere", renewed_s_ago=LONGEST_S + 1)
    assert restore_past_deadline(window, None, DECLARED, who="cronjob@pod") == ()
    assert server.lease is None


def test_a_holder_cannot_write_lines(server: LeaseServer, window: Window, record: Record) -> None:
    server.put(record, holder="me\x1b[2J\neverything is restored" + "x" * 500, renewed_s_ago=0)
    window.find()
    assert window.holder.isprintable()
    assert len(window.holder) == 200


FOREIGN: dict[str, dict[str, Any]] = {
    "no annotations": {"metadata": {"annotations": None}},
    "no metadata but its version": {"metadata": {}},
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_lease_of_somebody_else_is_one_line(
    change: dict[str, Any], server: LeaseServer, window: Window, record: Record
) -> None:
    server.put(record, holder="", renewed_s_ago=0)
    assert server.lease is not None
    server.lease |= change
    server.lease["metadata"] |= {"resourceVersion": "1"}
    server.version = 1
    with pytest.raises(WindowError, match="the record of the Lease gpu-window is dam") as caught:
        restore_past_deadline(window, None, DECLARED, who="cronjob@pod")
    assert "\n" not in str(caught.value)
    assert server.writes == []


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": 5}])
def test_a_lease_without_a_sound_spec_has_no_live_owner(
    spec: dict[str, Any] | None, server: LeaseServer, window: Window, record: Record
) -> None:
    server.put(replace(record, tenants=(), queues=()), holder="", renewed_s_ago=0)
    assert server.lease is not None
    server.lease["spec"] = spec
    server.clock += 100
    assert restore_past_deadline(window, None, DECLARED, who="cronjob@pod") == ()
    assert server.lease is None


@pytest.mark.parametrize(
    ("change", "is_dead"),
    [
        ({"leaseDurationSeconds": 10**9}, True),
        ({"renewTime": "2100-01-01T00:00:00Z"}, True),
        ({"renewTime": None}, True),
        ({"renewTime": "soon"}, True),
        ({}, False),
    ],
)
def test_nobody_keeps_a_window_open_for_ever(
    change: dict[str, Any], is_dead: bool, server: LeaseServer, window: Window, record: Record
) -> None:
    server.put(record, holder="me@elsewhere", renewed_s_ago=100 if "lease" in str(change) else 5)
    assert server.lease is not None
    server.lease["spec"] |= change
    window.find()
    assert window.is_dead == is_dead


def test_outside_a_cluster_the_program_exits_with_no_access(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["--namespace", "llama-cpp"]) == NO_ACCESS
    assert "KUBERNETES_SERVICE_HOST is not set" in capsys.readouterr().out
