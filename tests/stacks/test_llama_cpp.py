"""The synthesized stack as a whole, and a snapshot of each resource."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from tests.conftest import Synth
from tests.constructs.synthesized import DOWNLOADS, containers, pods, resources
from tests.declaration.frozen import DECLARATION
from tests.declaration.resources import RESOURCES
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]


@pytest.fixture(scope="session")
def deployed(production: Json) -> dict[str, Json]:
    return resources(production)


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_snapshot(
    name: str, deployed: dict[str, Json], snapshot: SnapshotAssertion
) -> None:
    # Golden files cover the ConfigMaps' texts; the Job's name contains their hash.
    text = json.dumps(deployed[name])
    text = re.sub(r"model-download-[0-9a-f]{10}", "model-download-CONTENT", text)
    document = json.loads(text)
    for key in document.get("data", {}):
        document["data"][key] = "TEXT"
    spec = document.get("spec", {})
    if name.startswith("deployment_v1."):
        annotations = spec["template"]["metadata"]["annotations"]
        hashes = [key for key in annotations if key.startswith("checksum/")]
        annotations |= dict.fromkeys(hashes, "SHA256")
    assert document == snapshot.use_extension(JSONSnapshotExtension)


def test_every_resource_has_a_snapshot(deployed: dict[str, Json]) -> None:
    assert sorted(deployed) == sorted(RESOURCES)


def test_the_state_is_in_postgresql_without_a_connection_in_the_json(production: Json) -> None:
    assert production["terraform"]["backend"] == {"pg": {"schema_name": "llama-cpp"}}


def test_the_provider_is_configured_only_by_the_environment(production: Json) -> None:
    assert production["provider"]["kubernetes"] == [{}]


def test_the_provider_is_pinned_to_the_version_of_the_binding(production: Json) -> None:
    assert production["terraform"]["required_providers"]["kubernetes"]["version"] == "2.38.0"


def test_every_container_has_a_restricted_security_context(production: Json) -> None:
    for pod in pods(production).values():
        assert pod["security_context"]["run_as_non_root"] is True
        assert pod["security_context"]["seccomp_profile"]["type"] == "RuntimeDefault"
        for container in containers(pod):
            context = container["security_context"]
            assert context["run_as_non_root"] is True
            assert context["allow_privilege_escalation"] is False
            assert context["read_only_root_filesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_only_programs_that_ask_the_api_server_have_a_service_account_token(
    production: Json,
) -> None:
    by_name = pods(production)
    asking = {"gpu-window-restore", "exporter"}
    tokens = {name: pod["automount_service_account_token"] for name, pod in by_name.items()}
    assert tokens == {name: name in asking for name in by_name}
    accounts = {name: pod.get("service_account_name") for name, pod in by_name.items()}
    assert {name: account for name, account in accounts.items() if account} == {
        name: name for name in asking
    }
    for name in asking:
        account = resources(production)[f"service_account_v1.{name}"]
        assert account["automount_service_account_token"] is False


def test_every_image_is_pinned_by_digest(production: Json) -> None:
    for pod in pods(production).values():
        for container in containers(pod):
            assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
            assert container["image_pull_policy"] == "IfNotPresent"


def test_terraform_does_not_wait_for_rollout_download_or_binding(
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


def guarded(stack: dict[str, Json]) -> list[str]:
    """List the resources that Terraform refuses to delete."""
    return sorted(
        name
        for name, resource in stack.items()
        if "prevent_destroy" in resource.get("lifecycle", {})
    )


def test_terraform_refuses_to_delete_namespace_and_volume(deployed: dict[str, Json]) -> None:
    assert guarded(deployed) == sorted(KEPT)
    assert all(deployed[name]["lifecycle"]["prevent_destroy"] is True for name in KEPT)


def test_terraform_drops_the_earlier_hcl_from_its_state(
    production: Json,
) -> None:
    forgotten = {block["from"]: block["lifecycle"] for block in production["removed"]}
    assert set(forgotten) == {
        "kubernetes_config_map.llama_swap_config",
        "kubernetes_deployment.llama_swap",
        "kubernetes_job_v1.download_models",
        "kubernetes_namespace.llama_cpp",
        "kubernetes_service.llama_swap",
        "module.nfs_models",
    }
    assert all(lifecycle == {"destroy": False} for lifecycle in forgotten.values())


def test_prevent_destroy_can_be_disabled(synth: Synth) -> None:
    assert guarded(resources(synth(prevent_destroy=False))) == []


def test_secrets_are_only_referenced(synth: Synth) -> None:
    document = synth(
        hf_token_secret="hugging-face",
        api_key_secret="llama-swap-keys",
        llama_swap=LlamaSwapSettings(api_key_env=("KEY_GATEWAY",)),
    )
    by_name = pods(document)
    serving = by_name["llama-swap"]
    assert serving["container"][0]["env_from"] == [{"secret_ref": {"name": "llama-swap-keys"}}]
    reference = {"secret_key_ref": {"name": "hugging-face", "key": "HF_TOKEN"}}
    for name in DOWNLOADS:
        (container,) = by_name[name]["container"]
        (token,) = [variable for variable in container["env"] if variable["name"] == "HF_TOKEN"]
        assert token["value_from"] == reference
    assert "kubernetes_secret_v1" not in document["resource"]


def test_a_synth_keeps_a_state_that_terraform_could_not_write(tmp_path: Path) -> None:
    from constructs.terraform import App
    from stacks.llama_cpp import LlamaCppStack

    unwritten = tmp_path / "stacks" / "llama-cpp" / "errored.tfstate"
    unwritten.parent.mkdir(parents=True)
    unwritten.write_text("{}")
    app = App(outdir=str(tmp_path))
    LlamaCppStack(app, "llama-cpp", settings=SETTINGS, declaration=DECLARATION)
    app.synth()
    assert (unwritten.parent / "cdk.tf.json").exists()
    assert unwritten.read_text() == "{}"
