"""The record of a window: it survives a round trip, and a damaged one is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from in_pod.gpu_window.contract import BAD_DATA
from in_pod.gpu_window.errors import WindowError
from in_pod.gpu_window.record import Record, parse_record
from tests.fakes.lease_server import TENANT


def test_a_record_survives_a_round_trip(record: Record) -> None:
    for written in (record, replace(record, tenants=(), queues=(), given_back=True)):
        assert parse_record(written.to_json()) == written


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
def test_a_damaged_record_is_refused(text: str | None) -> None:
    with pytest.raises(WindowError, match="the record of the Lease gpu-window is dam") as caught:
        parse_record(text)
    assert caught.value.code == BAD_DATA
    assert "\n" not in str(caught.value)


def test_the_error_names_the_damaged_field() -> None:
    tenant = {"namespace": "a", "deployment": "b", "replicas": "x", "ready": 0}
    with pytest.raises(
        WindowError, match=r"tenants\[0\]\.replicas is 'x'; expected a whole number"
    ):
        parse_record(damaged(tenants=[tenant]))
