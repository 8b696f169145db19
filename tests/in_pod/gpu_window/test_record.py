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


def tenant(**changes: Any) -> dict[str, Any]:
    sound = {"kind": "Deployment", "namespace": "a", "name": "b", "replicas": 1, "ready": 0}
    return sound | changes


def test_a_record_of_the_version_before_sharing_is_read(record: Record) -> None:
    old = json.loads(replace(record, endpoint_replicas=1).to_json())
    old["llama_swap_replicas"] = old.pop("endpoint_replicas")
    for each in old["tenants"]:
        assert each.pop("kind") == "Deployment"
        each["deployment"] = each.pop("name")
    assert parse_record(json.dumps(old)) == record


def damaged(**changes: Any) -> str:
    document = json.loads(Record(deadline=0, tenants=(TENANT,)).to_json())
    return json.dumps(document | changes)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[" * 100_000,
        "[]",
        "3",
        "{}",
        damaged(deadline="soon"),
        damaged(deadline=5),
        damaged(tenants=3),
        damaged(tenants=[{"namespace": "a"}]),
        damaged(tenants=[tenant(kind="DaemonSet")]),
        damaged(tenants=["immich"]),
        damaged(tenants=[tenant(replicas=-1)]),
        damaged(tenants=[tenant(replicas=True)]),
        damaged(tenants=[tenant(replicas=101)]),
        damaged(tenants=[tenant(namespace="../a")]),
        damaged(tenants=[tenant(name=5)]),
        damaged(queues=["../../users"]),
        damaged(queues=[1]),
        damaged(endpoint_replicas="1"),
        damaged(endpoint_replicas=-1),
        damaged(llama_swap_replicas=1, tenants=5),
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
    with pytest.raises(
        WindowError, match=r"tenants\[0\]\.replicas is 'x'; expected a number from 0 to 100"
    ):
        parse_record(damaged(tenants=[tenant(replicas="x")]))
