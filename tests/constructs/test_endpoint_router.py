"""The serving pod with llama-server's router as front end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from llama_swap_config.errors import ConfigError
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.router import render_router_preset
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from tests.constructs.synthesized import resources
from tests.declaration.registry import REGISTRY

Json = dict[str, Any]
Synth = Callable[..., Json]

WITH_KEYS: Json = {
    "api_key_secret": "llama-swap-keys",
    "llama_swap": LlamaSwapSettings(api_key_env=("KEY_GATEWAY", "KEY_OWNER")),
}


@pytest.fixture(scope="session")
def deployed(synth: Synth) -> Json:
    return resources(synth(front_end="llama-server"))


@pytest.fixture
def container(deployed: Json) -> Json:
    return container_of(deployed)


def container_of(deployed: Json) -> Json:
    (only,) = deployed["deployment_v1.llama-swap"]["spec"]["template"]["spec"]["container"]
    container: Json = only
    return container


def test_deployment_snapshot(deployed: Json, snapshot: SnapshotAssertion) -> None:
    document = json.loads(json.dumps(deployed["deployment_v1.llama-swap"]))
    metadata = document["spec"]["template"]["metadata"]
    metadata["annotations"] = dict.fromkeys(metadata["annotations"], "SHA256")
    assert document == snapshot.use_extension(JSONSnapshotExtension)


def test_the_container_runs_the_router_with_the_rendered_preset(
    deployed: Json, container: Json, locked: tuple[LockedModel, ...]
) -> None:
    shell, option, script = container["command"]
    assert (shell, option) == ("/bin/sh", "-c")
    (command,) = [line for line in script.splitlines() if line.startswith("/app/llama-server ")]
    words = shlex.split(command)
    assert words[1:5] == ["--host", "0.0.0.0", "--port", "8080"]
    assert words[words.index("--models-preset") + 1] == "/config/router-preset.ini"
    text = render_router_preset(locked, ServerSettings())
    assert deployed["config_map_v1.llama-swap"]["data"] == {"router-preset.ini": text}
    assert "llama-swap" not in script + text


def test_the_checksum_changes_with_the_preset(
    deployed: Json, locked: tuple[LockedModel, ...]
) -> None:
    template = deployed["deployment_v1.llama-swap"]["spec"]["template"]
    text = render_router_preset(locked, ServerSettings())
    checksum = template["metadata"]["annotations"]["checksum/config"]
    assert checksum == hashlib.sha256(text.encode()).hexdigest()


def test_probes_use_the_health_path(container: Json) -> None:
    for probe in ("startup_probe", "readiness_probe", "liveness_probe"):
        assert container[probe]["http_get"] == {"path": "/health", "port": "http"}


def test_both_front_ends_have_the_same_resources(deployed: Json, production: Json) -> None:
    """A second Deployment would wait for the GPU, so all other resources are the same."""
    before, after = resources(production), deployed
    assert list(after) == list(before)
    differing = [name for name in after if after[name] != before[name]]
    texts, pods = ("config_map_v1.llama-swap", "deployment_v1.llama-swap")
    # The exporter follows the other front end.
    of_exporter = {"config_map_v1.exporter", "deployment_v1.exporter"}
    assert set(differing) == {texts, pods} | of_exporter
    config, deployment = (after[name]["metadata"] for name in (texts, pods))
    assert config == before["config_map_v1.llama-swap"]["metadata"]
    assert deployment == before["deployment_v1.llama-swap"]["metadata"]
    assert after["deployment_v1.llama-swap"]["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
def test_api_keys_reach_every_llama_server_only_by_the_environment(
    front_end: str, synth: Synth
) -> None:
    container = container_of(resources(synth(front_end=front_end, **WITH_KEYS)))
    # Terraform reads `$${` as `${`.
    script = container["command"][2].replace("$${", "${")
    (program,) = [line for line in script.splitlines() if line.startswith("/app/llama-")]
    assert 'export LLAMA_API_KEY="${KEY_GATEWAY:?},${KEY_OWNER:?}"' in script.splitlines()
    assert "$" not in program
    assert "api-key" not in program
    assert container["env_from"] == [{"secret_ref": {"name": "llama-swap-keys"}}]
    assert "LLAMA_API_KEY" not in [variable["name"] for variable in container["env"]]


def test_the_router_has_no_cache_to_download_into(container: Json) -> None:
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert env["LLAMA_CACHE"].startswith("/dev/null/")


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
def test_every_model_has_the_same_media_marker(front_end: str, synth: Synth) -> None:
    container = container_of(resources(synth(front_end=front_end)))
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert env["LLAMA_MEDIA_MARKER"] == "<__media__>"


def test_settings_that_only_llama_swap_supports_fail_the_synth(synth: Synth) -> None:
    models = (dataclasses.replace(REGISTRY[0], env={"OMP_WAIT_POLICY": "passive"}), *REGISTRY[1:])
    with pytest.raises(ConfigError, match="model 'qwen3vl-8b': env is 'OMP_WAIT_POLICY'"):
        synth(models=models, front_end="llama-server")


def test_the_router_may_read_an_api_key_from_llama_api_key(synth: Synth) -> None:
    settings = LlamaSwapSettings(api_key_env=("LLAMA_API_KEY",))
    stack = resources(synth(front_end="llama-server", api_key_secret="x", llama_swap=settings))
    assert 'LLAMA_API_KEY="$${LLAMA_API_KEY:?}"' in container_of(stack)["command"][2]
