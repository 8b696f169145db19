"""What runs in the cluster: pods, their images, and a GPU window."""

from __future__ import annotations

from typing import Any

import pytest

from llama_swap_config.cluster.labels import CONFIG_ANNOTATION
from ops.commands.drift.declared import Declared
from ops.commands.drift.workloads import pod_findings, window


def pod(image_id: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "llama-swap-1", "namespace": "llama-cpp"},
        "status": {
            "phase": "Running",
            "startTime": "2026-11-24T20:00:00Z",
            "containerStatuses": [{"name": "llama-swap", "imageID": image_id}],
        },
    }


def test_the_remedy_for_an_outdated_pod_deletes_it(
    declared: Declared,
) -> None:
    older = pod("")
    older["metadata"]["annotations"] = {CONFIG_ANNOTATION: "0" * 64}
    config_map = {"metadata": {}, "data": {declared.program.config_key: declared.program.config}}
    (finding,) = pod_findings(declared, older, config_map)
    assert "kubectl -n llama-cpp delete pod llama-swap-1 loads the ConfigMap's" in finding.remedy


def test_the_pulled_image_is_compared_by_its_digest(declared: Declared) -> None:
    right = declared.settings.llama_swap_image.partition("@")[2]
    for same in (f"ghcr.io/x@{right}", f"docker-pullable://ghcr.io/x@{right}", "sha256:0a", ""):
        assert list(pod_findings(declared, pod(same), None)) == []
    (finding,) = pod_findings(declared, pod(f"ghcr.io/x@sha256:{'ab' * 32}"), None)
    assert (finding.subject, finding.field) == ("Pod llama-swap-1", "imageID")
    assert finding.found.text == "sha256:abababababab"
    assert "its engine may not be llama.cpp b10524" in finding.remedy


@pytest.mark.parametrize("record", ["", "{", "[]", '{"deadline": "soon"}'])
def test_a_window_with_an_unreadable_record_is_drift(record: str) -> None:
    lease = {"metadata": {"annotations": {"llama-cpp-infra/gpu-window": record}}, "spec": {}}
    (finding,), notes = window(lease, 0.0)
    assert finding.found.text == "still open, its deadline is not readable"
    assert finding.found.who == "no holder"
    assert notes == []
