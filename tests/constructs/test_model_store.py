"""The volume of the models and its claim."""

from __future__ import annotations

from typing import Any

import pytest

from llama_swap_config.cluster.storage import (
    AccessMode,
    LocalSsdStorage,
    NfsStorage,
    ProvisionedStorage,
)
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


def test_the_cluster_can_make_the_volume_by_a_storage_class(synth: Synth) -> None:
    stack = resources(synth(storage=ProvisionedStorage(storage_class="longhorn")))
    assert not [name for name in stack if name.startswith("persistent_volume_v1.")]
    claim = stack["persistent_volume_claim_v1.models"]["spec"]
    assert claim["storage_class_name"] == "longhorn"
    assert claim["access_modes"] == ["ReadWriteOnce"]
    assert "volume_name" not in claim


def test_without_a_storage_class_the_clusters_default_makes_it(synth: Synth) -> None:
    stack = resources(synth(storage=ProvisionedStorage(access_mode="ReadWriteMany")))
    claim = stack["persistent_volume_claim_v1.models"]["spec"]
    # An empty name would mean a volume without a class.
    assert "storage_class_name" not in claim
    assert claim["access_modes"] == ["ReadWriteMany"]


@pytest.mark.parametrize(
    ("access_mode", "labels"),
    [("ReadWriteOnce", {"nvidia.com/gpu.present": "true"}), ("ReadWriteMany", None)],
)
def test_a_volume_of_one_node_is_filled_where_the_models_are_served(
    synth: Synth, access_mode: AccessMode, labels: Json | None
) -> None:
    stack = resources(synth(storage=ProvisionedStorage(access_mode=access_mode)))
    (name,) = (name for name in stack if name.startswith("job_v1."))
    download = stack[name]["spec"]["template"]["spec"]
    upkeep = stack["cron_job_v1.model-upkeep"]["spec"]["job_template"]["spec"]["template"]["spec"]
    assert download.get("node_selector") == upkeep.get("node_selector") == labels


def test_a_claim_and_a_volume_that_exist_keep_their_names(synth: Synth) -> None:
    stack = resources(
        synth(
            storage=NfsStorage(
                server="192.168.1.127",
                path="/srv/models",
                claim="llama-models",
                volume="nfs-models",
                storage_class="nfs",
            )
        )
    )
    (volume,) = stack["persistent_volume_v1.nfs-models"]["spec"]
    claim = stack["persistent_volume_claim_v1.llama-models"]
    assert claim["spec"]["volume_name"] == "nfs-models"
    assert volume["storage_class_name"] == claim["spec"]["storage_class_name"] == "nfs"
    assert claim["lifecycle"]["ignore_changes"] == ["spec[0].resources[0].requests"]
    pods = [stack["deployment_v1.llama-swap"]["spec"]["template"]["spec"]]
    pods += [
        made["spec"]["template"]["spec"]
        for name, made in stack.items()
        if name.startswith("job_v1.")
    ]
    for pod in pods:
        (mounted,) = [each for each in pod["volume"] if each["name"] == "models"]
        assert mounted["persistent_volume_claim"] == {"claim_name": "llama-models"}


def test_terraform_ignores_changes_of_the_claims_size(deployed: dict[str, Json]) -> None:
    ignored = deployed["persistent_volume_claim_v1.models"]["lifecycle"]["ignore_changes"]
    assert ignored == ["spec[0].resources[0].requests"]
