"""What the synthesized stack must say as a whole; snapshots are the net behind it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from tests.conftest import Synth
from tests.constructs.synthesized import DOWNLOADS, containers, pods, resources

Json = dict[str, Any]
RESOURCES = (
    "config_map_v1.gpu-window-restore",
    "config_map_v1.llama-swap",
    "config_map_v1.model-download",
    "config_map_v1.model-warm-up",
    "cron_job_v1.gpu-window-restore",
    "cron_job_v1.model-upkeep",
    "deployment_v1.llama-swap",
    "job_v1.model-download",
    "namespace_v1.llama-cpp",
    "network_policy_v1.llama-swap-clients",
    "network_policy_v1.llama-swap-egress",
    "persistent_volume_claim_v1.models",
    "persistent_volume_v1.llama-cpp-models",
    "role_binding_v1.gpu-window-restore",
    "role_binding_v1.llama-cpp-gpu-window-restore",
    "role_v1.gpu-window-restore",
    "role_v1.llama-cpp-gpu-window-restore",
    "service_account_v1.gpu-window-restore",
    "service_v1.llama-swap",
)


@pytest.fixture(scope="session")
def deployed(production: Json) -> dict[str, Json]:
    return resources(production)


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_snapshot(
    name: str, deployed: dict[str, Json], snapshot: SnapshotAssertion
) -> None:
    # The text of the ConfigMaps has golden files of its own; the Job's name holds their hash.
    text = json.dumps(deployed[name])
    text = re.sub(r"model-download-[0-9a-f]{10}", "model-download-CONTENT", text)
    document = json.loads(text)
    for key in document.get("data", {}):
        document["data"][key] = "TEXT"
    annotations = document.get("spec", {})
    if name == "deployment_v1.llama-swap":
        found = annotations["template"]["metadata"]["annotations"]
        annotations["template"]["metadata"]["annotations"] = dict.fromkeys(found, "SHA256")
    assert document == snapshot.use_extension(JSONSnapshotExtension)


def test_every_resource_has_a_snapshot(deployed: dict[str, Json]) -> None:
    assert sorted(deployed) == sorted(RESOURCES)


def test_the_state_is_in_postgresql_and_the_json_holds_no_connection(production: Json) -> None:
    assert production["terraform"]["backend"] == {
        "pg": {"conn_str": "", "schema_name": "llama-cpp"}
    }


def test_the_provider_is_configured_by_the_environment_alone(production: Json) -> None:
    assert production["provider"]["kubernetes"] == [{}]


def test_the_provider_is_pinned_to_the_version_of_the_binding(production: Json) -> None:
    assert production["terraform"]["required_providers"]["kubernetes"]["version"] == "2.38.0"


def test_every_container_says_itself_that_it_is_restricted(production: Json) -> None:
    for pod in pods(production).values():
        assert pod["security_context"]["run_as_non_root"] is True
        assert pod["security_context"]["seccomp_profile"]["type"] == "RuntimeDefault"
        for each in containers(pod):
            context = each["security_context"]
            assert context["run_as_non_root"] is True
            assert context["allow_privilege_escalation"] is False
            assert context["read_only_root_filesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_exactly_the_pod_that_restores_a_gpu_window_has_a_token_of_the_api_server(
    production: Json,
) -> None:
    found = pods(production)
    tokens = {name: pod["automount_service_account_token"] for name, pod in found.items()}
    assert tokens == {name: name == "gpu-window-restore" for name in found}
    accounts = {name: pod.get("service_account_name") for name, pod in found.items()}
    assert {name for name, account in accounts.items() if account} == {"gpu-window-restore"}
    account = resources(production)["service_account_v1.gpu-window-restore"]
    assert account["automount_service_account_token"] is False


def test_every_image_is_pinned_by_digest(production: Json) -> None:
    for pod in pods(production).values():
        for each in containers(pod):
            assert re.search(r"@sha256:[0-9a-f]{64}$", each["image"])
            assert each["image_pull_policy"] == "IfNotPresent"


def test_terraform_waits_for_nothing_that_the_gpu_or_the_network_can_hold_up(
    deployed: dict[str, Json],
) -> None:
    assert deployed["deployment_v1.llama-swap"]["wait_for_rollout"] is False
    assert deployed["job_v1.model-download"]["wait_for_completion"] is False
    assert deployed["persistent_volume_claim_v1.models"]["wait_until_bound"] is False


KEPT = (
    "namespace_v1.llama-cpp",
    "persistent_volume_v1.llama-cpp-models",
    "persistent_volume_claim_v1.models",
)


def guarded(found: dict[str, Json]) -> list[str]:
    """What Terraform refuses to delete."""
    return sorted(
        name for name, each in found.items() if "prevent_destroy" in each.get("lifecycle", {})
    )


def test_terraform_refuses_to_delete_the_models_in_production(deployed: dict[str, Json]) -> None:
    assert guarded(deployed) == sorted(KEPT)
    assert all(deployed[name]["lifecycle"]["prevent_destroy"] is True for name in KEPT)


def test_terraform_forgets_the_hand_written_endpoint_and_leaves_its_objects(
    production: Json,
) -> None:
    forgotten = {each["from"]: each["lifecycle"] for each in production["removed"]}
    assert set(forgotten) == {
        "kubernetes_config_map.llama_swap_config",
        "kubernetes_deployment.llama_swap",
        "kubernetes_job_v1.download_models",
        "kubernetes_namespace.llama_cpp",
        "kubernetes_service.llama_swap",
        "module.nfs_models",
    }
    assert all(lifecycle == {"destroy": False} for lifecycle in forgotten.values())


def test_the_guard_is_a_setting(synth: Synth) -> None:
    assert guarded(resources(synth(prevent_destroy=False))) == []


def test_secrets_are_named_and_never_held(synth: Synth) -> None:
    document = synth(
        hf_token_secret="hugging-face",
        api_key_secret="llama-swap-keys",
        llama_swap=LlamaSwapSettings(api_key_env=("KEY_GATEWAY",)),
    )
    found = pods(document)
    serving = found["llama-swap"]
    assert serving["container"][0]["env_from"] == [{"secret_ref": {"name": "llama-swap-keys"}}]
    reference = {"secret_key_ref": {"name": "hugging-face", "key": "HF_TOKEN"}}
    for name in DOWNLOADS:
        (container,) = found[name]["container"]
        (token,) = [each for each in container["env"] if each["name"] == "HF_TOKEN"]
        assert token["value_from"] == reference
    assert "kubernetes_secret_v1" not in document["resource"]
