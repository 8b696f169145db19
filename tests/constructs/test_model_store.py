"""The volume of the models and its claim."""

from __future__ import annotations

from typing import Any

from llama_swap_config.cluster.storage import LocalSsdStorage
from tests.conftest import Synth
from tests.constructs.synthesized import resources

Json = dict[str, Any]


def test_the_nfs_volume_is_shared_retained_and_bound_by_name(deployed: dict[str, Json]) -> None:
    (volume,) = deployed["persistent_volume_v1.llama-cpp-models"]["spec"]
    claim = deployed["persistent_volume_claim_v1.models"]["spec"]
    assert volume["persistent_volume_source"]["nfs"] == {
        "server": "192.168.1.127",
        "path": "/srv/nfs-ssd/llamacpp",
    }
    assert volume["persistent_volume_reclaim_policy"] == "Retain"
    assert volume["capacity"] == {"storage": "30Gi"}
    assert volume["access_modes"] == claim["access_modes"] == ["ReadWriteMany"]
    assert claim["volume_name"] == "llama-cpp-models"
    assert volume["storage_class_name"] == claim["storage_class_name"] != ""
    assert "hard" in volume["mount_options"]


def test_the_volume_can_be_the_gpu_nodes_own_ssd(synth: Synth) -> None:
    stack = resources(synth(storage=LocalSsdStorage(node="k8s-node1", path="/srv/models")))
    (volume,) = stack["persistent_volume_v1.llama-cpp-models"]["spec"]
    assert volume["persistent_volume_source"] == {"local": {"path": "/srv/models"}}
    assert volume["access_modes"] == ["ReadWriteOnce"]
    assert "mount_options" not in volume
    (term,) = volume["node_affinity"]["required"]["node_selector_term"]
    assert term["match_expressions"] == [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-node1"]}
    ]


def test_terraform_ignores_changes_of_the_claims_size(deployed: dict[str, Json]) -> None:
    ignored = deployed["persistent_volume_claim_v1.models"]["lifecycle"]["ignore_changes"]
    assert ignored == ["spec[0].resources[0].requests"]
