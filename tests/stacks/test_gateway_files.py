"""What LiteLLM reads, for the frozen declaration: golden files, and the same for both kinds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from in_pod.gateway.contract import CONFIG_FILE, POLICY_FILE
from in_pod.gateway.policy import read_policy
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from stacks.gateway_files import GatewayFiles, gateway_files
from stacks.pools import pools_of
from tests.conftest import ROOT
from tests.constructs.synthesized import modules
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, SETTINGS, WITH_KEY

GOLDEN = ROOT / "tests" / "golden"
BEHIND = replace(SETTINGS, gateway=GATEWAY, **WITH_KEY)


def files(gateway: Gateway | ExistingGateway = GATEWAY) -> GatewayFiles:
    return gateway_files(pools_of(BEHIND, DECLARATION), gateway, DECLARATION)


@pytest.mark.parametrize("name", [CONFIG_FILE, POLICY_FILE])
def test_the_rendered_files_equal_the_golden_files(name: str, update_golden: bool) -> None:
    text = files().config[name]
    if update_golden:
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_rendering_is_byte_stable_and_the_same_for_both_kinds_of_gateway() -> None:
    assert files() == files() == files(EXISTING_GATEWAY)


def test_the_hooks_are_the_package_of_in_pod() -> None:
    assert files().hooks == modules("gateway")


def test_the_hooks_read_the_policy_that_is_rendered(tmp_path: Path) -> None:
    path = tmp_path / POLICY_FILE
    path.write_text(files().config[POLICY_FILE])
    policy = read_policy(path)
    (pool,) = policy.pools.values()
    assert pool.endpoint.url == "http://llama-swap.llama-cpp.svc.cluster.local:8080"
    assert pool.card.tenants == ("immich/immich-machine-learning",)
    assert tuple(policy.consumers) == ("photo-poster", "home-assistant", "n8n")


def test_a_load_and_an_answer_fit_into_litellms_timeouts() -> None:
    document = yaml.safe_load(files(replace(GATEWAY, answer_timeout_s=120)).config[CONFIG_FILE])
    load_s = SETTINGS.llama_swap.health_check_timeout_s
    assert document["litellm_settings"]["request_timeout"] == load_s + 120
    for entry in document["model_list"]:
        params = entry["litellm_params"]
        assert params["timeout"] == params["stream_timeout"] == load_s + 120


def test_no_file_has_a_key() -> None:
    """LiteLLM reads the endpoint's from a variable, and the hooks the consumers' from a Secret."""
    config = yaml.safe_load(files().config[CONFIG_FILE])
    keys = {entry["litellm_params"]["api_key"] for entry in config["model_list"]}
    assert keys == {"os.environ/LLAMA_SWAP_API_KEY"}
    assert "master_key" not in config["general_settings"]
    consumers = json.loads(files().config[POLICY_FILE])["consumers"]
    assert all("key" not in name for consumer in consumers.values() for name in consumer)
