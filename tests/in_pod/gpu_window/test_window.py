"""A window without a cluster: spans, records, who has the Lease, and what is said."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from in_pod import gpu_window
from in_pod.gpu_window import (
    LostError,
    Record,
    Tenant,
    Timing,
    UnansweredError,
    Window,
    WindowError,
    label_selector,
    parse_record,
    pod_text,
    restore_past_deadline,
)
from llama_swap_config.cluster import gpu_tenants
from ops.cli import main
from ops.commands.window import taking
from ops.commands.window.holders import Holders
from ops.commands.window.opening import as_it_is
from ops.commands.window.run import status
from ops.errors import OpsError
from ops.report.durations import duration_s, span
from stacks.production import PRODUCTION
from tests.declaration.settings import SETTINGS
from tests.fakes.lease_server import LeaseServer

TENANT = Tenant(namespace="immich", deployment="immich-machine-learning", replicas=2, ready=1)
QUICK = Timing(poll_s=0.01, renew_s=0, patience_s=0.1, immich_patience_s=0.1)


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def window(server: LeaseServer, said: list[str]) -> Window:
    return Window(server, namespace="llama-cpp", say=said.append, timing=QUICK)


@pytest.fixture
def record(server: LeaseServer) -> Record:
    return Record(deadline=server.clock + 60, tenants=(TENANT,), queues=("ocr",))


# ---- Spans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("24h", 86400), ("1s", 1)],
)
def test_a_span_is_read_as_a_person_writes_it(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds
    assert duration_s(span(seconds).replace(" ", "")) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1.5h", "30 m", "5m2h", "0s", "25h", "3d"])
def test_what_is_no_span_is_wrong_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["window", "--for", text]) == 2
    error = capsys.readouterr().err
    assert "allowed: 1s to 24h, such as 90s, 30m or 1h30m" in error
    assert error.count("\n") == 1


# ---- The record ------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    for each in (record, replace(record, tenants=(), queues=(), given_back=True)):
        assert parse_record(each.to_json()) == each


def damaged(**changes: Any) -> str:
    document = json.loads(Record(deadline=0, tenants=(TENANT,)).to_json())
    return json.dumps(document | changes)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "3",
        "{}",
        damaged(deadline="soon"),
        damaged(deadline=5),
        damaged(tenants=3),
        damaged(tenants=[{"namespace": "a"}]),
        damaged(tenants=[{"namespace": "a", "deployment": "b", "replicas": -1, "ready": 0}]),
        damaged(tenants=[{"namespace": "a", "deployment": "b", "replicas": True, "ready": 0}]),
        damaged(tenants=[{"namespace": "../a", "deployment": "b", "replicas": 1, "ready": 0}]),
        damaged(tenants=[{"namespace": "a", "deployment": 5, "replicas": 1, "ready": 0}]),
        damaged(queues=["../../users"]),
        damaged(queues=[1]),
        damaged(llama_swap_replicas="1"),
        damaged(given_back="yes"),
        damaged(more=1),
    ],
)
def test_a_damaged_record_says_what_to_do_by_hand(text: str | None) -> None:
    with pytest.raises(WindowError, match=r"has no record that can be read .*by hand") as caught:
        parse_record(text)
    assert caught.value.code == gpu_window.BAD_DATA
    assert "\n" not in str(caught.value)


# ---- Who has it ------------------------------------------------------------------------------


def test_one_owner_at_a_time(server: LeaseServer, window: Window, record: Record) -> None:
    second = Window(server, namespace="llama-cpp", say=print, timing=QUICK)
    assert window.create("me@here", record)
    assert not second.create("you@there", record)
    window.renew()
    assert window.holder.startswith("me@here/")


def test_the_answer_that_was_lost_was_our_own(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.loses_answers = 1
    assert window.create("me@here", record)
    server.loses_answers = 1
    window.renew(replace(record, queues=()))
    assert (
        parse_record(
            server.lease and server.lease["metadata"]["annotations"][gpu_window.ANNOTATION]
        ).queues
        == ()
    )
    server.loses_answers = 1
    window.delete()
    assert server.lease is None


def test_whoever_was_taken_over_changes_nothing_more(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    server.clock += 100
    other = Window(server, namespace="llama-cpp", say=print, timing=QUICK)
    assert other.find()
    assert other.is_dead
    assert other.take_over("you@there")
    with pytest.raises(LostError, match=r"you@there/.* has the window now"):
        window.scale("immich", "immich-machine-learning", 1)
    with pytest.raises(LostError):
        window.delete()


def test_of_two_that_take_over_one_does(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.put(record, holder="dead@gone", renewed_s_ago=100)
    other = Window(server, namespace="llama-cpp", say=print, timing=QUICK)
    assert window.find()
    assert other.find()
    assert window.take_over("me@here")
    assert not other.take_over("you@there")


def test_a_lease_that_was_deleted_by_hand_is_said(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    server.lease = None
    with pytest.raises(LostError, match="deleted by hand; look whether what had the card"):
        window.renew()


def test_time_is_the_api_servers(server: LeaseServer, window: Window, record: Record) -> None:
    window.create("me@here", record)
    server.clock += 59
    assert window.silent_s == pytest.approx(59)
    assert not window.is_dead
    server.clock += 2
    assert window.is_dead


def test_what_remains_is_free_for_anybody_at_once(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    server.loses_answers = 1
    window.let_go(replace(record, given_back=True))
    assert window.find()
    assert window.is_dead
    assert window.record.deadline == server.clock


def test_what_was_let_go_is_restored_although_a_clock_is_a_second_behind(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    window.let_go(replace(record, tenants=(), queues=()))
    server.clock -= 1  # What the API server says is in whole seconds.
    assert restore_past_deadline(window, None, who="cronjob@pod") == ()
    assert server.lease is None


@pytest.mark.parametrize(
    ("left_s", "renewed_s_ago", "line"),
    [
        (60, 600, "the window of me@here is left alone: 60 s left"),
        (-60, 10, "the window of me@here is left alone: a heartbeat 10 s ago"),
    ],
)
def test_the_cluster_leaves_a_window_alone_that_may_go_on(
    server: LeaseServer,
    window: Window,
    said: list[str],
    record: Record,
    left_s: float,
    renewed_s_ago: float,
    line: str,
) -> None:
    late = replace(record, deadline=server.clock + left_s)
    server.put(late, holder="me@here", renewed_s_ago=renewed_s_ago)
    assert restore_past_deadline(window, None, who="cronjob@pod") == ()
    assert said == [line]
    assert server.writes == []


def test_the_cluster_is_silent_where_there_is_no_window(window: Window, said: list[str]) -> None:
    assert restore_past_deadline(window, None, who="cronjob@pod") == ()
    assert said == []


def test_a_second_window_names_the_first_and_the_way_out(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.put(record, holder="me@here/12", renewed_s_ago=20)
    with pytest.raises(
        OpsError, match=r"^me@here/12 has the window since .* \(1m left\)"
    ) as found:
        taking.create(window, None, deadline_in_s=60)
    assert "python -m ops window --restore" in str(found.value)
    assert server.writes == []


def test_its_status_says_what_it_will_put_back(server: LeaseServer, record: Record) -> None:
    lines: list[str] = []
    status(server, namespace="llama-cpp", say=lines.append)
    server.put(record, holder="me@here/12", renewed_s_ago=61)
    status(server, namespace="llama-cpp", say=lines.append)
    assert lines[0] == "no window is open"
    assert lines[1].startswith("me@here/12, since ")
    assert lines[2].endswith("(1m left)")
    assert lines[3:] == [
        "last heartbeat 1m 1s ago: its owner is gone",
        "to be put back: immich/immich-machine-learning, replicas 2, 1 ready",
        "to be resumed: Immich's queue ocr",
    ]
    assert server.writes == []


# ---- Servers in trouble ----------------------------------------------------------------------


def test_a_server_in_trouble_is_asked_again(
    server: LeaseServer, window: Window, said: list[str]
) -> None:
    server.refuses = [503, 429, 500]
    assert not window.find()
    assert said[0].startswith("the API server does not answer (503: as the test wants it)")
    assert said[1:] == ["the API server answers again"]


def test_it_is_not_asked_for_ever(server: LeaseServer, window: Window) -> None:
    server.refuses = [503] * 10_000
    with pytest.raises(UnansweredError, match="the API server does not answer") as caught:
        window.find()
    assert caught.value.code == gpu_window.TRANSIENT


def test_a_refusal_is_not_asked_again(server: LeaseServer, window: Window) -> None:
    server.refuses = [403]
    with pytest.raises(WindowError, match=r"refuses GET .*/leases/gpu-window \(403: ") as caught:
        window.find()
    assert caught.value.code == gpu_window.NO_ACCESS


# ---- What is said of pods --------------------------------------------------------------------


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "ml", "namespace": "immich", **metadata},
        "spec": {"nodeName": "k8s-node1"},
        "status": status,
    }


READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (pod(READY), "ml (Running on k8s-node1)"),
        (
            pod(
                READY,
                deletionTimestamp="2026-11-25T04:00:30Z",
                deletionGracePeriodSeconds=30,
            ),
            "ml (Terminating since 04:00:00 UTC on k8s-node1)",
        ),
        (
            pod(
                {
                    "conditions": [
                        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no"}
                    ]
                }
            ),
            "ml (not scheduled: 0/1 nodes: no)",
        ),
        (
            pod(
                {
                    "containerStatuses": [
                        {"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                    ]
                }
            ),
            "ml (a: ImagePullBackOff on k8s-node1)",
        ),
        (
            pod({"initContainerStatuses": [{"name": "warm-up", "state": {"running": {}}}]}),
            "ml (warm-up runs, not ready on k8s-node1)",
        ),
        (pod({}), "ml (Pending on k8s-node1)"),
    ],
)
def test_what_keeps_a_pod(found: dict[str, Any], text: str) -> None:
    assert pod_text(found) == text


def test_pods_are_found_by_every_kind_of_selector() -> None:
    selector = {
        "matchLabels": {"app": "ml"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "zone", "operator": "NotIn", "values": ["c"]},
            {"key": "gpu", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert label_selector(selector) == "app=ml,tier in (a,b),zone notin (c),gpu,!old"


def test_an_account_that_may_not_look_everywhere_names_no_holder(server: LeaseServer) -> None:
    server.refuses = [403]
    assert Holders(server).line() == ""


# ---- The command -----------------------------------------------------------------------------


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    assert main(["window", *arguments]) == code
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


def test_settings_without_a_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.production.PRODUCTION", replace(PRODUCTION, gpu_window=None))
    assert "gpu_window is not set in stacks/production.py" in fails(capsys)


def test_a_command_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}")
    line = fails(capsys, "--", "bench-it", "--fast")
    assert "bench-it is not on PATH" in line
    assert "nothing was changed" in line


@pytest.mark.parametrize("arguments", [("--restore", "ls"), ("--restore", "--status")])
def test_one_thing_at_a_time(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "exclude each other" in fails(capsys, *arguments, code=2)


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["window", "--help"]) == 0
    assert "Example: python -m ops window --for 30m -- python bench.py" in capsys.readouterr().out


def test_the_program_outside_of_a_cluster_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert gpu_window.main(["--namespace", "llama-cpp"]) == gpu_window.NO_ACCESS
    assert "KUBERNETES_SERVICE_HOST is not set" in capsys.readouterr().out


def test_the_deployment_that_gets_the_card_is_the_stacks(production: dict[str, Any]) -> None:
    found = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]["replicas"]
        for each in production["resource"]["kubernetes_deployment_v1"].values()
    }
    key = (SETTINGS.namespace, gpu_window.DEPLOYMENT)
    assert int(found[key]) == gpu_tenants.ENDPOINT_REPLICAS


def test_no_more_pods_are_waited_for_than_there_are_replicas() -> None:
    """A pod is ready until a controller that lags has seen it scaled down; its status lags too."""
    tenant = gpu_tenants.GpuTenant(namespace="immich", deployment="ml")
    found = as_it_is(tenant, {"spec": {"replicas": 0}}, 1)
    assert (found.replicas, found.ready) == (0, 0)
    found = as_it_is(tenant, {"spec": {"replicas": 2}, "status": {"readyReplicas": 0}}, 1)
    assert (found.replicas, found.ready) == (2, 1)


def test_program_and_construct_mean_the_same_lease_and_deployment() -> None:
    """The program imports nothing of this repository, so each says it for itself."""
    assert gpu_window.LEASE == gpu_tenants.LEASE
    assert gpu_window.DEPLOYMENT == gpu_tenants.ENDPOINT_DEPLOYMENT
