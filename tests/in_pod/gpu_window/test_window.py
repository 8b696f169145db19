"""Who has the window: one at a time, by the Lease's versions and the API server's clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from in_pod.gpu_window.contract import ANNOTATION
from in_pod.gpu_window.errors import LostError
from in_pod.gpu_window.record import Record, parse_record
from in_pod.gpu_window.window import Window
from tests.fakes.lease_server import QUICK, LeaseServer


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
        parse_record(server.lease and server.lease["metadata"]["annotations"][ANNOTATION]).queues
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
