"""What the synthesized stack must say, whatever else changes; snapshots are the net behind it."""

from __future__ import annotations

import copy
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from llama_swap_config.cluster.storage import LocalSsdStorage, NfsStorage
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.errors import ConfigError
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.plans.download import render_download_plan
from llama_swap_config.plans.warm import render_warm_plan
from tests.conftest import ROOT
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import BARE, SETTINGS

Synth = Callable[..., dict[str, Any]]

Json = dict[str, Any]
IN_POD = ROOT / "in_pod"
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

DOWNLOADS = ("model-download", "model-upkeep")


def resources(document: Json) -> dict[str, Json]:
    """Every resource by kind and name, the content's hash in a name left out."""
    found = {}
    for kind, by_id in document["resource"].items():
        for each in by_id.values():
            name = re.sub("-[0-9a-f]{10}$", "", each["metadata"]["name"])
            found[f"{kind.removeprefix('kubernetes_')}.{name}"] = each
    return found


def pods(document: Json) -> dict[str, Json]:
    """The pod of each Deployment, Job and CronJob, by its name."""
    found = {}
    for address, each in resources(document).items():
        kind, _, name = address.partition(".")
        if kind in ("deployment_v1", "job_v1"):
            found[name] = each["spec"]["template"]["spec"]
        elif kind == "cron_job_v1":
            found[name] = each["spec"]["job_template"]["spec"]["template"]["spec"]
    assert {"llama-swap", *DOWNLOADS, "gpu-window-restore"} == set(found)
    return found


def containers(pod: Json) -> list[Json]:
    return [*pod.get("init_container", []), *pod["container"]]


@pytest.fixture(scope="session")
def deployed(production: Json) -> dict[str, Json]:
    return resources(production)


@pytest.fixture
def deployment(deployed: dict[str, Json]) -> Json:
    return deployed["deployment_v1.llama-swap"]


@pytest.fixture
def container(deployment: Json) -> Json:
    (only,) = deployment["spec"]["template"]["spec"]["container"]
    found: Json = only
    return found


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


def test_pods_that_are_not_restricted_are_refused(deployed: dict[str, Json]) -> None:
    labels = deployed["namespace_v1.llama-cpp"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


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


def test_the_serving_pod_takes_one_gpu_of_the_gpu_node(deployment: Json, container: Json) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert pod["toleration"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert pod["node_selector"] == {"nvidia.com/gpu.present": "true"}


def test_two_serving_pods_never_want_the_one_gpu(deployment: Json) -> None:
    assert deployment["spec"]["replicas"] == "1"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_memory_limit_holds_the_largest_model(
    container: Json, locked: tuple[LockedModel, ...]
) -> None:
    limit_gib = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert limit_gib * 2**30 > max(each.size_bytes for each in locked)


def test_a_crash_loop_cannot_fill_the_node(container: Json) -> None:
    assert container["resources"]["limits"]["ephemeral-storage"] == "4Gi"
    assert container["command"][2].startswith("ulimit -c 0; exec /app/llama-swap ")


def test_terraform_waits_for_nothing_that_the_gpu_or_the_network_can_hold_up(
    deployed: dict[str, Json],
) -> None:
    assert deployed["deployment_v1.llama-swap"]["wait_for_rollout"] is False
    assert deployed["job_v1.model-download"]["wait_for_completion"] is False
    assert deployed["persistent_volume_claim_v1.models"]["wait_until_bound"] is False


def test_the_pod_restarts_exactly_when_its_configuration_changes(
    deployment: Json, locked: tuple[LockedModel, ...]
) -> None:
    config = render_llama_swap(locked, LlamaSwapSettings())
    program = (IN_POD / "warm.py").read_text()
    warm_up = render_warm_plan(locked) + program
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "checksum/config": hashlib.sha256(config.encode()).hexdigest(),
        "checksum/warm-up": hashlib.sha256(warm_up.encode()).hexdigest(),
    }


def test_terraform_does_not_interpolate_the_configuration(
    deployed: dict[str, Json], locked: tuple[LockedModel, ...]
) -> None:
    text = deployed["config_map_v1.llama-swap"]["data"]["llama-swap.yaml"]
    assert "$${PORT}" in text
    assert not re.search(r"(?<!\$)\$\{", text)
    assert text.replace("$${", "${") == render_llama_swap(locked, LlamaSwapSettings())


def test_the_configuration_is_mounted_as_a_directory(container: Json) -> None:
    mounts = {each["name"]: each for each in container["volume_mount"]}
    assert mounts["config"] == {"mount_path": "/config", "name": "config", "read_only": True}
    assert mounts["models"]["read_only"] is True
    assert not [each for each in mounts.values() if each["mount_path"].startswith("/app")]


def test_home_and_the_cuda_cache_are_writable(container: Json) -> None:
    env = {each["name"]: each.get("value") for each in container["env"]}
    writable = [
        each["mount_path"] for each in container["volume_mount"] if not each.get("read_only")
    ]
    assert env["HOME"] in writable
    assert any(env["CUDA_CACHE_PATH"].startswith(f"{path}/") for path in writable)


def test_probes_ask_what_needs_no_key_and_loads_no_model(container: Json) -> None:
    for probe in ("startup_probe", "readiness_probe", "liveness_probe"):
        assert container[probe]["http_get"] == {"path": "/wol-health", "port": "http"}


def test_a_pod_that_ends_has_time_to_drain(deployment: Json, container: Json) -> None:
    pause_s = int(container["lifecycle"]["pre_stop"][0]["exec"]["command"][1])
    grace_s = deployment["spec"]["template"]["spec"]["termination_grace_period_seconds"]
    assert pause_s >= 5
    assert grace_s >= 45
    assert grace_s - pause_s > 35


def test_selectors_hold_nothing_that_a_release_changes(deployed: dict[str, Json]) -> None:
    expected = {
        "app.kubernetes.io/name": "llama-swap",
        "app.kubernetes.io/part-of": "llama-cpp",
    }
    deployment = deployed["deployment_v1.llama-swap"]["spec"]
    assert deployment["selector"]["match_labels"] == expected
    assert deployment["template"]["metadata"]["labels"] == expected
    assert deployed["service_v1.llama-swap"]["spec"]["selector"] == expected


def test_the_endpoint_is_where_its_consumers_look(deployed: dict[str, Json]) -> None:
    service = deployed["service_v1.llama-swap"]
    assert service["metadata"]["namespace"] == "llama-cpp"
    assert service["spec"]["type"] == "ClusterIP"
    assert [port["port"] for port in service["spec"]["port"]] == [8080]


def may_fetch(policy: Json, address: str, port: int) -> bool:
    """Whether the policy lets the pod reach an address, as Kubernetes reads it."""
    host = ipaddress.ip_address(address)
    for rule in policy["spec"].get("egress", []):
        if str(port) not in [each["port"] for each in rule["ports"]]:
            continue
        for block in [each["ip_block"] for each in rule["to"] if "ip_block" in each]:
            inside = host in ipaddress.ip_network(block["cidr"])
            if inside and not any(host in ipaddress.ip_network(each) for each in block["except"]):
                return True
    return False


@pytest.mark.parametrize(
    ("address", "port", "allowed"),
    [
        ("93.184.215.14", 443, True),
        ("93.184.215.14", 80, True),
        ("2606:2800:21f:cb07::1", 443, True),
        ("93.184.215.14", 22, False),
        ("10.96.0.1", 443, False),  # The API server's Service.
        ("192.168.1.127", 80, False),  # The NFS server, and the nodes.
        ("172.16.3.4", 80, False),
        ("100.100.1.2", 80, False),
        ("169.254.169.254", 80, False),  # Where a cloud answers for the machine.
        ("127.0.0.1", 80, False),
        ("fd00::1", 443, False),
        ("fe80::1", 443, False),
        ("64:ff9b::a60:1", 443, False),  # 10.96.0.1, for a translator.
        ("::1", 80, False),
        ("203.0.113.7", 443, False),  # Public, and the operator's own.
        ("2001:db8::7", 443, False),
    ],
)
def test_a_picture_may_come_from_the_internet_and_never_from_inside(
    address: str, port: int, allowed: bool, synth: Synth
) -> None:
    document = synth(internal_ranges=("203.0.113.0/24", "2001:db8::/32"))
    policy = resources(document)["network_policy_v1.llama-swap-egress"]
    assert may_fetch(policy, address, port) is allowed
    assert policy["spec"]["policy_types"] == ["Egress"]


def test_remote_pictures_can_be_forbidden_wholly(synth: Synth) -> None:
    policy = resources(synth(remote_images=False))["network_policy_v1.llama-swap-egress"]
    assert policy["spec"]["policy_types"] == ["Egress"]
    assert not policy["spec"].get("egress")


def test_the_egress_policy_is_of_the_serving_pod_alone(deployed: dict[str, Json]) -> None:
    policy = deployed["network_policy_v1.llama-swap-egress"]["spec"]
    served = deployed["deployment_v1.llama-swap"]["spec"]["template"]["metadata"]["labels"]
    job = deployed["job_v1.model-download"]["spec"]["template"]["metadata"]["labels"]
    assert policy["pod_selector"]["match_labels"].items() <= served.items()
    assert not policy["pod_selector"]["match_labels"].items() <= job.items()


def test_only_the_gateway_and_monitoring_reach_the_endpoint(deployed: dict[str, Json]) -> None:
    spec = deployed["network_policy_v1.llama-swap-clients"]["spec"]
    (rule,) = spec["ingress"]
    (client,) = rule["from"]
    (expression,) = client["namespace_selector"]["match_expressions"]
    assert expression["values"] == ["litellm", "monitoring"]
    assert [port["port"] for port in rule["ports"]] == ["8080"]
    assert spec["policy_types"] == ["Ingress"]


def test_no_client_namespace_means_that_nobody_gets_in(synth: Synth) -> None:
    spec = resources(synth(client_namespaces=()))["network_policy_v1.llama-swap-clients"]["spec"]
    assert "Ingress" in spec["policy_types"]
    assert not spec.get("ingress")


def test_the_nfs_volume_is_shared_kept_and_found_by_name(deployed: dict[str, Json]) -> None:
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
    found = resources(synth(storage=LocalSsdStorage(node="k8s-node1", path="/srv/models")))
    (volume,) = found["persistent_volume_v1.llama-cpp-models"]["spec"]
    assert volume["persistent_volume_source"] == {"local": {"path": "/srv/models"}}
    assert volume["access_modes"] == ["ReadWriteOnce"]
    assert "mount_options" not in volume
    (term,) = volume["node_affinity"]["required"]["node_selector_term"]
    assert term["match_expressions"] == [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-node1"]}
    ]


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


def test_the_claim_keeps_the_size_it_was_made_with(deployed: dict[str, Json]) -> None:
    ignored = deployed["persistent_volume_claim_v1.models"]["lifecycle"]["ignore_changes"]
    assert ignored == ["spec[0].resources[0].requests"]


def test_the_guard_is_a_setting(synth: Synth) -> None:
    assert guarded(resources(synth(prevent_destroy=False))) == []


def test_the_job_is_named_by_its_content(synth: Synth, production: Json) -> None:
    def name(document: Json) -> str:
        found: str = resources(document)["job_v1.model-download"]["metadata"]["name"]
        return found

    another_context = tuple(replace(model, context=4096) for model in REGISTRY)
    assert name(synth(models=another_context)) == name(production)
    assert name(synth(models=REGISTRY[:2])) != name(production)
    assert name(synth(python_image=SETTINGS.llama_swap_image)) != name(production)


def test_the_job_stays_and_stops_at_what_no_retry_heals(deployed: dict[str, Json]) -> None:
    spec = deployed["job_v1.model-download"]["spec"]
    assert "ttl_seconds_after_finished" not in spec
    assert spec["template"]["spec"]["restart_policy"] == "Never"
    ignored, failed = spec["pod_failure_policy"]["rule"]
    assert ignored["action"] == "Ignore"
    assert failed["action"] == "FailJob"
    assert failed["on_exit_codes"]["values"] == [28, 65, 77, 78]


def test_the_job_reads_the_plan_and_the_program_of_this_repository(
    deployed: dict[str, Json], locked: tuple[LockedModel, ...]
) -> None:
    data = deployed["config_map_v1.model-download"]["data"]
    program = (IN_POD / "download.py").read_text()
    assert data["download-plan.json"] == render_download_plan(locked)
    assert data["download.py"].replace("$${", "${").replace("%%{", "%{") == program


def test_the_hub_can_be_a_mirror_behind_a_proxy(synth: Synth) -> None:
    document = synth(hf_endpoint="https://mirror.lan/hf", https_proxy="http://proxy.lan:3128")
    for name in DOWNLOADS:
        (container,) = pods(document)[name]["container"]
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert env["HF_ENDPOINT"] == "https://mirror.lan/hf"
        assert env["HTTPS_PROXY"] == "http://proxy.lan:3128"


def test_the_volume_is_verified_and_pruned_on_a_schedule_with_the_present_plan(
    deployed: dict[str, Json],
) -> None:
    cron = copy.deepcopy(deployed["cron_job_v1.model-upkeep"]["spec"])
    pod = cron["job_template"]["spec"]["template"]["spec"]
    (container,) = pod["container"]
    assert cron["concurrency_policy"] == "Forbid"
    assert cron["job_template"]["spec"]["active_deadline_seconds"] == 6 * 3600
    assert cron["job_template"]["spec"]["ttl_seconds_after_finished"] == str(7 * 24 * 3600)
    assert container["args"][4:] == [
        *("--verify", "--quarantine", "--rate-mb-s", "40", "--prune", "--grace-h", "168")
    ]
    job = deployed["job_v1.model-download"]["spec"]
    del container["args"][4:]
    assert pod == job["template"]["spec"]
    assert cron["job_template"]["spec"]["pod_failure_policy"] == job["pod_failure_policy"]
    name = deployed["config_map_v1.model-download"]["metadata"]["name"]
    assert [each["config_map"]["name"] for each in pod["volume"] if "config_map" in each] == [name]


def test_upkeep_is_off_unless_the_settings_say_so(synth: Synth) -> None:
    assert "cron_job_v1.model-upkeep" not in resources(synth(upkeep=None))
    assert BARE.upkeep is None


@pytest.fixture
def warm_up(deployment: Json) -> Json:
    (only,) = deployment["spec"]["template"]["spec"]["init_container"]
    found: Json = only
    return found


def test_models_are_warmed_where_they_are_served_under_a_limit_that_holds_the_largest(
    warm_up: Json, locked: tuple[LockedModel, ...]
) -> None:
    limit_mib = int(warm_up["resources"]["limits"]["memory"].removesuffix("Mi"))
    largest = max(each.size_bytes for each in locked)
    assert largest < 0.9 * limit_mib * 2**20
    assert limit_mib * 2**20 < 1.2 * largest + 2**29
    assert warm_up["args"] == [
        *("--plan", "/warm-up/warm-plan.json", "--models", "/models", "--wait-s", "3600")
    ]
    assert all(each["read_only"] for each in warm_up["volume_mount"])


def test_the_registrys_order_is_the_order_of_warming(
    deployed: dict[str, Json], synth: Synth
) -> None:
    def order(document: dict[str, Json]) -> list[str]:
        plan = json.loads(document["config_map_v1.model-warm-up"]["data"]["warm-plan.json"])
        return [model["id"] for model in plan["models"]]

    assert order(deployed) == [model.id for model in REGISTRY]
    assert order(resources(synth(models=REGISTRY[::-1]))) == [model.id for model in REGISTRY[::-1]]


def test_a_pod_that_still_waits_for_its_models_is_not_called_stuck(
    deployment: Json, synth: Synth
) -> None:
    assert deployment["spec"]["progress_deadline_seconds"] == 3600 + 600
    cold = resources(synth(warm_wait_s=None))["deployment_v1.llama-swap"]
    assert cold["spec"]["progress_deadline_seconds"] == 600


def test_the_warm_up_can_be_left_out(synth: Synth) -> None:
    found = resources(synth(warm_wait_s=None))
    assert "config_map_v1.model-warm-up" not in found
    template = found["deployment_v1.llama-swap"]["spec"]["template"]
    assert "init_container" not in template["spec"]
    assert list(template["metadata"]["annotations"]) == ["checksum/config"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("hf_endpoint", "huggingface.co"),
        ("https_proxy", "http://user:password@proxy.lan"),
        ("warm_wait_s", -1),
        ("upkeep.schedule", Upkeep(schedule="weekly")),
        ("upkeep.verify_rate_mb_s", Upkeep(verify_rate_mb_s=0)),
        ("upkeep.prune_grace_h", Upkeep(prune_grace_h=-1)),
    ],
)
def test_a_wrong_setting_of_weights_fails_at_synth(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=setting):
        replace(SETTINGS, **{setting.partition(".")[0]: value})


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


def test_every_default_of_production() -> None:
    """A default that changes has to be changed here too, knowingly."""
    assert SETTINGS.namespace == "llama-cpp"
    assert SETTINGS.service == "llama-swap"
    assert SETTINGS.port == 8080
    assert SETTINGS.storage_size_gib == 30
    assert SETTINGS.prevent_destroy is True
    assert SETTINGS.gpu.usable_mib == 14912
    assert SETTINGS.run_as_user == 10001
    assert SETTINGS.api_key_secret is None
    assert [(model.quantisation, model.context, model.ttl_s) for model in REGISTRY] == [
        ("Q4_K_M", 3072, 600)
    ] * 3


BAD_SETTINGS: dict[str, tuple[Json, str]] = {
    "image by tag": ({"llama_swap_image": "ghcr.io/x/y:cuda"}, "llama_swap_image is 'ghcr.io/x"),
    "port": ({"port": 0}, "port is 0; allowed: 1 to 65535"),
    "size": ({"storage_size_gib": 0}, "storage_size_gib is 0"),
    "root": ({"run_as_user": 0}, "run_as_user is 0"),
    "grace": ({"termination_grace_period_s": 30}, "at least pre_stop_s + 40 = 45"),
    "namespace": ({"namespace": "Llama"}, "namespace is 'Llama'; allowed: a DNS label"),
    "own range": ({"internal_ranges": ("203.0.113.7",)}, "internal_ranges is '203.0.113.7'"),
    "client": ({"client_namespaces": ("a b",)}, "client_namespaces is 'a b'"),
    "secret without keys": ({"api_key_secret": "x"}, "api_key_secret is 'x'"),
    "keys without secret": (
        {"llama_swap": LlamaSwapSettings(api_key_env=("K",))},
        "api_key_secret is None",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_a_bad_setting_is_refused_in_one_line(changes: Json, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, **changes)
    assert message in str(caught.value)
    assert str(caught.value).startswith("settings: ")


def test_a_bad_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"storage\.server is 'nas'; allowed: an IP address"):
        NfsStorage(server="nas", path="/srv")
    with pytest.raises(ConfigError, match=r"storage\.path is 'srv'"):
        LocalSsdStorage(node="k8s-node1", path="srv")
