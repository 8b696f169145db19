"""A window has one holder at a time, by the Lease's versions and the API server's clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from in_pod.gpu_window.contract import ANNOTATION
from in_pod.gpu_window.errors import LostError
from in_pod.gpu_window.record import Record, parse_record
from in_pod.gpu_window.window import Window
from tests.fakes.lease_server import QUICK, TENANT, LeaseServer


def test_a_window_has_one_holder(server: LeaseServer, window: Window, record: Record) -> None:
    second = Window(server, namespace="llama-cpp", say=print, timing=QUICK)
    assert window.create("me@here", record)
    assert not second.create("you@there", record)
    window.renew()
    assert window.holder.startswith("me@here/")


def test_a_lost_answer_to_our_own_request_is_recognised(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.loses_answers = 1
    assert window.create("me@here", record)
    server.loses_answers = 1
    window.renew(replace(record, queues=()))
    assert (
        parse_record(server.lease and server.lease["metadata"]["annotations"][ANNOTATION]).queues
        == ()
    )
    server.loses_answers = 1
    window.delete()
    assert server.lease is None


def test_a_holder_that_lost_the_window_changes_nothing(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    server.clock += 100
    other = Window(server, namespace="llama-cpp", say=print, timing=QUICK)
    assert other.find()
    assert other.is_dead
    assert other.take_over("you@there")
    with pytest.raises(LostError, match=r"you@there/.* has the window"):
        window.scale(TENANT.workload, found=0, wanted=1)
    with pytest.raises(LostError):
        window.delete()


def test_one_of_two_takeovers_succeeds(
    server: LeaseServer, window: Window, record: Record
) -> None:
    server.put(record, holder="dead@gone", renewed_s_ago=100)
    other = Window(server, namespace="llama-cpp", say=print, timing=QUICK)
    assert window.find()
    assert other.find()
    assert window.take_over("me@here")
    assert not other.take_over("you@there")


def test_a_deleted_lease_is_an_error(server: LeaseServer, window: Window, record: Record) -> None:
    window.create("me@here", record)
    server.lease = None
    with pytest.raises(LostError, match="the Lease gpu-window does not exist"):
        window.renew()


def test_the_heartbeat_is_measured_by_the_api_servers_clock(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    server.clock += 59
    assert window.silent_s == pytest.approx(59)
    assert not window.is_dead
    server.clock += 2
    assert window.is_dead


def test_a_released_window_can_be_taken_over_at_once(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    server.loses_answers = 1
    window.let_go(replace(record, given_back=True))
    assert window.find()
    assert window.is_dead
    assert window.record.deadline == server.clock


def test_a_window_that_is_restored_is_past_its_deadline_in_the_lease(
    server: LeaseServer, window: Window, record: Record
) -> None:
    window.create("me@here", record)
    window.end()
    assert window.record == record
    server.clock += 10
    window.renew()
    assert window.record == replace(record, deadline=server.clock)
    window.delete()
    # The next one has its own.
    window.create("me@here", record)
    assert window.record == record
