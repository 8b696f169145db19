"""The namespace says which pods it takes."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def test_pods_that_are_not_restricted_are_refused(deployed: dict[str, Json]) -> None:
    labels = deployed["namespace_v1.llama-cpp"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
