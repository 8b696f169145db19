"""LiteLLM in front of the endpoint, deployed by the stack or running already."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.gateway.settings import Gateway
from tests.conftest import Synth
from tests.constructs.network_policies import admitted, egress, ingress, may_connect
from tests.constructs.synthesized import modules, resources, unescaped
from tests.declaration.consumers import CONSUMERS
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY

Json = dict[str, Any]

OWN = (
    "config_map_v1.gateway",
    "config_map_v1.gateway-hooks",
    "deployment_v1.gateway",
    "network_policy_v1.gateway-clients",
    "network_policy_v1.gateway-egress",
    "service_v1.litellm",
)
PUBLIC = "93.184.215.14"
LIVENESS, READINESS = "/health/liveliness", "/health/readiness"


@pytest.fixture(scope="session")
def document(synth: Synth) -> Json:
    return synth(gateway=GATEWAY, **WITH_KEY)


@pytest.fixture(scope="session")
def stack(document: Json) -> dict[str, Json]:
    return resources(document)


def pod(stack: dict[str, Json]) -> Json:
    spec: Json = stack["deployment_v1.gateway"]["spec"]["template"]["spec"]
    return spec


def container(stack: dict[str, Json]) -> Json:
    (only,) = pod(stack)["container"]
    found: Json = only
    return found


def env(stack: dict[str, Json]) -> Json:
    return {
        variable["name"]: variable.get("value", variable.get("value_from"))
        for variable in container(stack)["env"]
    }


def checksum(stack: dict[str, Json]) -> str:
    template = stack["deployment_v1.gateway"]["spec"]["template"]
    text: str = template["metadata"]["annotations"]["checksum/config"]
    return text


def test_a_gateway_adds_six_objects(stack: dict[str, Json], production: Json) -> None:
    assert set(stack) - set(resources(production)) == set(OWN)
    assert set(resources(production)) <= set(stack)


@pytest.mark.parametrize("name", OWN[2:])
def test_gateway_snapshot(name: str, stack: dict[str, Json], snapshot: SnapshotAssertion) -> None:
    # Golden files cover the ConfigMaps' texts.
    shown = json.loads(json.dumps(stack[name]).replace(checksum(stack), "SHA256"))
    assert shown == snapshot.use_extension(JSONSnapshotExtension)


def test_the_pod_is_restricted_and_has_no_token(stack: dict[str, Json]) -> None:
    context = container(stack)["security_context"]
    assert context["read_only_root_filesystem"] is True
    assert context["allow_privilege_escalation"] is False
    assert context["run_as_non_root"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod(stack)["security_context"]["seccomp_profile"]["type"] == "RuntimeDefault"
    assert pod(stack)["automount_service_account_token"] is False
    assert "service_account_name" not in pod(stack)


def test_the_endpoints_key_and_the_consumers_keys_are_only_referenced(
    document: Json, stack: dict[str, Json]
) -> None:
    reference = {"secret_key_ref": {"name": "llama-swap-keys", "key": "KEY_GATEWAY"}}
    assert env(stack)["LLAMA_SWAP_API_KEY"] == reference
    (keys,) = [volume for volume in pod(stack)["volume"] if "secret" in volume]
    assert keys["secret"] == {"secret_name": "gateway-keys", "optional": True}
    (mount,) = [m for m in container(stack)["volume_mount"] if m["name"] == keys["name"]]
    # The kubelet never updates a subPath, and a rotated key would need a new pod.
    assert mount == {
        "name": "keys",
        "mount_path": env(stack)["GATEWAY_KEYS_DIR"],
        "read_only": True,
    }
    assert "kubernetes_secret_v1" not in document["resource"]


def test_the_probes_ask_no_model(stack: dict[str, Json]) -> None:
    """LiteLLM's /health sends a request to each."""
    paths = {
        kind: container(stack)[f"{kind}_probe"]["http_get"]["path"]
        for kind in ("startup", "readiness", "liveness")
    }
    assert paths == {"startup": LIVENESS, "readiness": READINESS, "liveness": LIVENESS}


def test_a_new_pod_starts_before_the_old_one_ends_and_that_one_answers_first(
    stack: dict[str, Json],
) -> None:
    strategy = stack["deployment_v1.gateway"]["spec"]["strategy"]
    assert strategy["type"] == "RollingUpdate"
    assert strategy["rolling_update"]["max_unavailable"] == "0%"
    # 300 s for a load, 300 s for an answer.
    assert pod(stack)["termination_grace_period_seconds"] > 600


def test_a_mounted_file_is_where_litellm_looks_for_it(stack: dict[str, Json]) -> None:
    """LiteLLM would read hooks beside its configuration as files without a package."""
    mounts = {m["name"]: m["mount_path"] for m in container(stack)["volume_mount"]}
    args = container(stack)["args"]
    assert args[args.index("--config") + 1] == f"{mounts['config']}/litellm.yaml"
    assert env(stack)["GATEWAY_POLICY_FILE"] == f"{mounts['config']}/policy.json"
    assert mounts["hooks"] == f"{env(stack)['PYTHONPATH']}/gateway"
    assert not mounts["hooks"].startswith(mounts["config"])
    volumes = {volume["name"]: volume for volume in pod(stack)["volume"]}
    for name in ("config", "hooks"):
        config_map = volumes[name]["config_map"]["name"]
        assert set(volumes[name]["config_map"]) == {"name"}
        assert f"config_map_v1.{config_map}" in stack
    assert set(stack["config_map_v1.gateway"]["data"]) == {"litellm.yaml", "policy.json"}
    hooks = unescaped(stack["config_map_v1.gateway-hooks"]["data"])
    assert hooks == modules("gateway")


def test_only_what_a_program_writes_is_writable(stack: dict[str, Json]) -> None:
    writable = [m["mount_path"] for m in container(stack)["volume_mount"] if "read_only" not in m]
    assert writable == ["/tmp"]
    assert env(stack)["HOME"] == "/tmp"
    assert env(stack)["PYTHONDONTWRITEBYTECODE"] == "1"


def test_a_changed_consumer_or_setting_starts_a_new_pod(
    stack: dict[str, Json], synth: Synth
) -> None:
    consumers = (replace(CONSUMERS[0], parallel_requests=9), *CONSUMERS[1:])
    other = resources(synth(consumers=consumers, gateway=GATEWAY, **WITH_KEY))
    assert checksum(other) != checksum(stack)
    timeout = replace(GATEWAY, answer_timeout_s=60)
    assert checksum(resources(synth(gateway=timeout, **WITH_KEY))) != checksum(stack)


def test_the_consumers_and_monitoring_may_connect(document: Json) -> None:
    spec = ingress(document, "gateway")
    names = ["photo-poster", "home-assistant", "n8n", "monitoring"]
    assert admitted(spec) == (names, [])
    assert [port["port"] for port in spec["ingress"][0]["ports"]] == ["4000"]


def test_a_namespace_of_a_consumer_and_of_monitoring_is_named_once(synth: Synth) -> None:
    twice = synth(gateway=GATEWAY, monitoring_namespaces=("n8n",), **WITH_KEY)
    assert admitted(ingress(twice, "gateway"))[0] == ["photo-poster", "home-assistant", "n8n"]


@pytest.mark.parametrize(
    ("monitoring", "reached"),
    [
        (None, {"llama-swap": ["8080"]}),
        (Monitoring(), {"llama-swap": ["8080"], "exporter": ["9414"]}),
    ],
)
def test_the_gateway_reaches_endpoint_exporter_and_dns_alone(
    monitoring: Monitoring | None, reached: dict[str, list[str]], synth: Synth
) -> None:
    spec = egress(synth(gateway=GATEWAY, monitoring=monitoring, **WITH_KEY), "gateway")
    peers = [(peer, rule["ports"]) for rule in spec["egress"] for peer in rule["to"]]
    *own, (dns, _) = peers
    assert dns["pod_selector"]["match_labels"] == {"k8s-app": "kube-dns"}
    found = {}
    for peer, ports in own:
        assert set(peer) == {"pod_selector"}
        labels = peer["pod_selector"]["match_labels"]
        assert labels["app.kubernetes.io/part-of"] == "llama-cpp"
        found[labels["app.kubernetes.io/name"]] = [port["port"] for port in ports]
    assert found == reached
    assert not may_connect(spec, PUBLIC, 443)


def test_the_internet_is_for_a_consumer_that_may_send_addresses(synth: Synth) -> None:
    consumers = (replace(CONSUMERS[0], remote_images=True), *CONSUMERS[1:])
    spec = egress(
        synth(
            consumers=consumers,
            gateway=GATEWAY,
            internal_ranges=("93.184.216.0/24",),
            **WITH_KEY,
        ),
        "gateway",
    )
    assert may_connect(spec, PUBLIC, 443)
    for inside in ("10.0.0.1", "192.168.1.1", "169.254.169.254", "93.184.216.34"):
        assert not may_connect(spec, inside, 443)


@pytest.mark.parametrize("namespace", ["llama-cpp", "vision"])
def test_a_gateway_that_runs_already_gets_only_its_files(
    namespace: str, document: Json, production: Json, synth: Synth
) -> None:
    behind = resources(synth(namespace=namespace, gateway=EXISTING_GATEWAY, **WITH_KEY))
    names = (f"{namespace}-gateway", f"{namespace}-gateway-hooks")
    added = {name: behind[f"config_map_v1.{name}"] for name in names}
    assert len(behind) == len(resources(production)) + len(added)
    for config_map, own in zip(added.values(), OWN[:2], strict=True):
        assert config_map["metadata"]["namespace"] == "litellm"
        if namespace == "llama-cpp":
            assert config_map["data"] == resources(document)[own]["data"]


def test_the_service_and_the_pod_have_the_port_of_the_settings(synth: Synth) -> None:
    gateway = Gateway(image=GATEWAY.image, litellm_version="1.108.7", service="ai", port=4111)
    stack = resources(synth(gateway=gateway, **WITH_KEY))
    (port,) = stack["service_v1.ai"]["spec"]["port"]
    assert (port["port"], port["target_port"]) == (4111, "http")
    assert container(stack)["port"][0]["container_port"] == 4111
    args = container(stack)["args"]
    assert args[args.index("--port") + 1] == "4111"
