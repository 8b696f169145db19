"""A real LiteLLM starts by the command, the environment and the mounts of the stack's Deployment.

The embedded cluster runs no container, so each mount is a directory here.
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

from ops.machine.litellm import litellm
from ops.machine.ports import usable_port
from ops.terraform.manifests import Manifest, manifests
from tests.conftest import Synth
from tests.declaration.settings import GATEWAY, WITH_KEY
from tests.real.gateway.gateway import NO_INTERNET, key_line, new_key

START_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """LiteLLM as the kubelet starts it."""

    client: httpx2.Client
    container: dict[str, Any]
    keys: Path
    """The mounted Secret, without an entry at first."""


def written(objects: tuple[Manifest, ...], pod: dict[str, Any], root: Path) -> dict[str, Path]:
    """Write the pod's volumes: mount path -> directory."""
    data = {each["metadata"]["name"]: each["data"] for each in objects if "data" in each}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {}
    for mount in pod["containers"][0]["volumeMounts"]:
        path = root / mount["mountPath"].lstrip("/")
        path.mkdir(parents=True)
        for name, text in data.get(
            volumes[mount["name"]].get("configMap", {}).get("name"), {}
        ).items():
            (path / name).write_text(text)
        mounts[mount["mountPath"]] = path
    return mounts


@pytest.fixture(scope="module")
def started(synth: Synth, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    objects = manifests(synth(gateway=GATEWAY, **WITH_KEY))
    (pod,) = (
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "gateway"
    )
    (container,) = pod["containers"]
    root = tmp_path_factory.mktemp("pod")
    mounts = written(objects, pod, root)

    def here(text: str) -> str:
        for mount, path in mounts.items():
            if text == mount or text.startswith(f"{mount}/"):
                return f"{path}{text.removeprefix(mount)}"
        # The parent of a mount, as PYTHONPATH is of the package.
        return f"{root}{text}" if (root / text.lstrip("/")).is_dir() else text

    port = usable_port(None)
    words = {"0.0.0.0": "127.0.0.1", str(GATEWAY.port): str(port)}
    assert container["command"] == ["litellm"]
    arguments: list[str] = container["args"]
    env = {variable["name"]: here(variable.get("value", "none")) for variable in container["env"]}
    log = root / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [litellm(print), *(here(words.get(word, word)) for word in arguments)],
            env={"PATH": "/usr/bin:/bin"} | NO_INTERNET | env,
            stdout=output,
            stderr=output,
        )
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
        ) as client:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not answers(client, container["startupProbe"]):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            keys = mounts[env_of(container)["GATEWAY_KEYS_DIR"]]
            yield Started(client=client, container=container, keys=keys)
    finally:
        process.terminate()
        process.wait(30)


def env_of(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


def answers(client: httpx2.Client, probe: dict[str, Any]) -> bool:
    try:
        return client.get(probe["httpGet"]["path"]).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.mark.parametrize("kind", ["startup", "readiness", "liveness"])
def test_each_probe_succeeds_without_a_key(kind: str, started: Started) -> None:
    assert answers(started.client, started.container[f"{kind}Probe"])


def test_monitoring_scrapes_without_a_key(started: Started) -> None:
    scraped = started.client.get("/metrics/")
    assert scraped.status_code == 200
    assert "# TYPE" in scraped.text


def test_a_key_is_valid_once_it_is_in_the_secret_and_no_longer_than_that(started: Started) -> None:
    key = new_key()
    headers = {"authorization": f"Bearer {key}"}
    assert started.client.get("/v1/models", headers=headers).status_code == 401
    (started.keys / "home-assistant").write_text(key_line(key))
    listed = started.client.get("/v1/models", headers=headers)
    assert [model["id"] for model in listed.json()["data"]] == ["qwen3vl-4b"]
    (started.keys / "home-assistant").unlink()
    assert started.client.get("/v1/models", headers=headers).status_code == 401
