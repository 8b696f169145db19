"""An object of the cluster against its declaration, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from ops.commands.drift.object_fields import compare_objects, last_writer


@pytest.mark.parametrize(
    ("live", "declared_as"),
    [
        ({"cpu": "1"}, {"cpu": "1000m"}),
        ({"memory": "4096Mi"}, {"memory": "4Gi"}),
        ({"a": 1, "added": "by the API server"}, {"a": 1}),
        ({"mountOptions": ["hard", "noatime"]}, {"mountOptions": ["noatime", "hard"]}),
        ({"values": ["b", 2, 10]}, {"values": [10, 2, "b"]}),
        ({}, {"a": {}}),
        ({"port": 8080}, {"port": "8080"}),
    ],
)
def test_values_rewritten_by_the_api_server_are_equal(live: Any, declared_as: Any) -> None:
    assert list(compare_objects(live, declared_as)) == []


def test_fields_are_named_as_kubectl_does() -> None:
    declared_as = {
        "metadata": {"labels": {"a.b/c": "x"}},
        "spec": {
            "containers": [{"name": "one", "image": "i", "args": ["a", "b"]}],
            "capacity": "1Gi",
        },
    }
    live = {
        "metadata": {},
        "spec": {
            "containers": [{"name": "one", "image": "j", "args": ["b", "a"]}, {"name": "two"}],
            "capacity": "2Gi",
        },
    }
    assert [
        (field.name, field.found, field.declared) for field in compare_objects(live, declared_as)
    ] == [
        ("metadata.labels", "not set", "present"),
        ("spec.containers[one].image", "j", "i"),
        ("spec.containers[one].args", "b a", "a b"),
        ("spec.containers[two]", "present", "not set"),
        ("spec.capacity", "2Gi", "1Gi"),
    ]


def test_last_writer_is_the_newest_owner_of_the_field() -> None:
    container: dict[str, Any] = {'k:{"name":"one"}': {"f:image": {}, "f:name": {}}}
    document = {
        "metadata": {
            "managedFields": [
                {
                    "manager": "HashiCorp",
                    "time": "2026-11-20T10:00:00Z",
                    "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}},
                },
                {
                    "manager": "kubectl-edit",
                    "time": "2026-11-24T21:03:00Z",
                    "fieldsV1": {"f:data": {"f:a": {}}, "f:spec": {"f:containers": container}},
                },
                {
                    "manager": "kube-controller-manager",
                    "time": "2026-11-25T00:00:00Z",
                    "subresource": "status",
                    "fieldsV1": {"f:data": {"f:a": {}}},
                },
            ]
        }
    }
    assert last_writer(document, ("data", "a"))[0] == "kubectl-edit"
    assert last_writer(document, ("data", "b")) == ("HashiCorp", 1795168800.0)
    assert last_writer(document, ("spec", "containers", "[one]", "image"))[0] == "kubectl-edit"
    assert last_writer(document, ("spec", "replicas")) == ("", None)
    assert last_writer({}, ("data", "a")) == ("", None)
