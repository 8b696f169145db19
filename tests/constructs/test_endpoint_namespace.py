"""The namespace enforces the Pod Security Standard `restricted`."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def test_the_namespace_refuses_pods_that_are_not_restricted(deployed: dict[str, Json]) -> None:
    labels = deployed["namespace_v1.llama-cpp"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
