"""The record of a window: read as it was written, refused where it is damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from in_pod.gpu_window.contract import BAD_DATA
from in_pod.gpu_window.errors import WindowError
from in_pod.gpu_window.record import Record, parse_record
from tests.fakes.lease_server import TENANT


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
    assert caught.value.code == BAD_DATA
    assert "\n" not in str(caught.value)
