"""A real LiteLLM starts by the command, the environment and the mounts of its Deployment.

That is the stack's, or one that runs already after the patch of `ops gateway files`. The embedded
cluster runs no container, so each mount is a directory here.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from ops.commands.gateway.files import write_files
from ops.machine.litellm import litellm
from ops.machine.ports import usable_port
from ops.terraform.manifests import Manifest, manifests
from tests.conftest import Synth
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY
from tests.real.gateway.gateway import NO_INTERNET, key_line, new_key

START_TIMEOUT_S = 120
OPERATORS_KEY = "sk-of-the-operator-0123456789"
OWN_CONFIGURATION = {
    "model_list": [
        {
            "model_name": "elsewhere",
            "litellm_params": {"model": "openai/elsewhere", "api_base": "http://127.0.0.1:9"},
        }
    ],
    "general_settings": {"master_key": OPERATORS_KEY},
}
"""What a LiteLLM that runs already has beside the line that docs/gateway.md names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """LiteLLM as the kubelet starts it."""

    client: httpx2.Client
    keys: Path
    """The mounted Secret, without an entry at first."""


def deployed(objects: tuple[Manifest, ...]) -> dict[str, Any]:
    (pod,) = (
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "gateway"
    )
    return dict(pod)


def patched(objects: tuple[Manifest, ...], folder: Path) -> dict[str, Any]:
    """The pod of a LiteLLM with a configuration of its own that includes the stack's."""
    write_files(folder / "files", objects, EXISTING_GATEWAY)
    patch = yaml.safe_load((folder / "files" / "deployment-patch.yaml").read_text())
    pod = dict(patch["spec"]["template"]["spec"])
    (container,) = pod["containers"]
    own = folder / "own.yaml"
    place = container["args"].index("--config") + 1
    # The absolute path of the page, as it is in a pod, is below this directory here.
    include = f"{folder}/pod{container['args'][place]}"
    own.write_text(yaml.safe_dump(OWN_CONFIGURATION | {"include": [include]}))
    container["args"][place] = str(own)
    return pod


def written(objects: tuple[Manifest, ...], pod: dict[str, Any], root: Path) -> dict[str, Path]:
    """Write the pod's volumes: mount path -> directory."""
    data = {each["metadata"]["name"]: each["data"] for each in objects if "data" in each}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {}
    for mount in pod["containers"][0]["volumeMounts"]:
        path = root / mount["mountPath"].lstrip("/")
        path.mkdir(parents=True)
        config_map = volumes[mount["name"]].get("configMap", {}).get("name")
        for name, text in data.get(config_map, {}).items():
            (path / name).write_text(text)
        mounts[mount["mountPath"]] = path
    return mounts


@pytest.fixture(scope="module", params=["the stack's", "one that runs already"])
def started(
    request: pytest.FixtureRequest, synth: Synth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("gateway")
    gateway = GATEWAY if request.param == "the stack's" else EXISTING_GATEWAY
    objects = manifests(synth(gateway=gateway, **WITH_KEY))
    pod = deployed(objects) if gateway is GATEWAY else patched(objects, folder)
    (container,) = pod["containers"]
    root = folder / "pod"
    mounts = written(objects, pod, root)

    def here(text: str) -> str:
        for mount, path in mounts.items():
            if text == mount or text.startswith(f"{mount}/"):
                return f"{path}{text.removeprefix(mount)}"
        # The parent of a mount, as PYTHONPATH is of the package.
        return f"{root}{text}" if (root / text.lstrip("/")).is_dir() else text

    port = usable_port(None)
    words = {"0.0.0.0": "127.0.0.1", str(gateway.port): str(port)}
    env = {variable["name"]: variable.get("value", "none") for variable in container["env"]}
    assert container.get("command", ["litellm"]) == ["litellm"]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [litellm(print), *(here(words.get(word, word)) for word in container["args"])],
            env={
                "PATH": "/usr/bin:/bin",
                **NO_INTERNET,
                **{name: here(value) for name, value in env.items()},
            },
            stdout=output,
            stderr=output,
        )
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
        ) as client:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not answers(client, "/health/liveliness"):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield Started(client=client, keys=mounts[env["GATEWAY_KEYS_DIR"]])
    finally:
        process.terminate()
        process.wait(30)


def answers(client: httpx2.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx2.HTTPError:
        return False


def test_each_probe_succeeds_without_a_key(started: Started, synth: Synth) -> None:
    (container,) = deployed(manifests(synth(gateway=GATEWAY, **WITH_KEY)))["containers"]
    for kind in ("startup", "readiness", "liveness"):
        assert answers(started.client, container[f"{kind}Probe"]["httpGet"]["path"])


def test_monitoring_scrapes_without_a_key(started: Started) -> None:
    scraped = started.client.get("/metrics/")
    assert scraped.status_code == 200
    assert "# TYPE" in scraped.text


def test_a_key_is_valid_while_it_is_in_the_secret(started: Started) -> None:
    key = new_key()
    headers = {"authorization": f"Bearer {key}"}
    assert started.client.get("/v1/models", headers=headers).status_code == 401
    (started.keys / "home-assistant").write_text(key_line(key))
    listed = started.client.get("/v1/models", headers=headers)
    assert [model["id"] for model in listed.json()["data"]] == ["qwen3vl-4b"]
    (started.keys / "home-assistant").unlink()
    assert started.client.get("/v1/models", headers=headers).status_code == 401


def test_nobody_but_a_consumer_is_served(started: Started) -> None:
    """A LiteLLM that runs already has a master key and a model of its own."""
    headers = {"authorization": f"Bearer {OPERATORS_KEY}"}
    assert started.client.get("/v1/models", headers=headers).status_code == 401
    body = {"model": "elsewhere", "messages": [{"role": "user", "content": "hi"}]}
    asked = started.client.post("/v1/chat/completions", headers=headers, json=body)
    assert asked.status_code == 401
