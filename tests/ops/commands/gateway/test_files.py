"""`ops gateway files`: what an existing LiteLLM mounts is what a deploy makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from in_pod.gateway import contract
from ops.cli import main
from ops.commands.gateway.files import write_files
from ops.errors import OpsError
from ops.terraform.manifests import Manifest, manifests
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, WITH_KEY


@pytest.fixture(scope="module")
def objects(synth: Callable[..., dict[str, Any]]) -> tuple[Manifest, ...]:
    return manifests(synth(gateway=EXISTING_GATEWAY, **WITH_KEY))


def test_the_files_are_those_of_the_config_maps(
    objects: tuple[Manifest, ...], tmp_path: Path
) -> None:
    write_files(tmp_path, objects, EXISTING_GATEWAY)
    maps = {
        made["metadata"]["name"]: made["data"]
        for made in objects
        if made["kind"] == "ConfigMap" and made["metadata"]["namespace"] == "litellm"
    }
    written = {
        folder: {path.name: path.read_text() for path in (tmp_path / folder).iterdir()}
        for folder in ("config", "hooks/gateway")
    }
    assert list(written.values()) == [maps["llama-cpp-gateway"], maps["llama-cpp-gateway-hooks"]]


def test_the_secret_has_the_label_of_the_command_and_no_value(
    objects: tuple[Manifest, ...], tmp_path: Path
) -> None:
    write_files(tmp_path, objects, EXISTING_GATEWAY)
    secret = yaml.safe_load((tmp_path / "secret.yaml").read_text())
    assert secret["metadata"]["namespace"] == "litellm"
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "llama-cpp-infra"
    assert not {"data", "stringData"} & secret.keys()


def test_the_patch_mounts_what_the_deployed_gateway_mounts(
    objects: tuple[Manifest, ...], synth: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    write_files(tmp_path, objects, EXISTING_GATEWAY)
    patch = yaml.safe_load((tmp_path / "deployment-patch.yaml").read_text())
    pod = patch["spec"]["template"]["spec"]
    (deployed,) = (
        made["spec"]["template"]["spec"]["containers"][0]
        for made in manifests(synth(gateway=GATEWAY, **WITH_KEY))
        if made["kind"] == "Deployment" and made["metadata"]["name"] == "gateway"
    )
    (container,) = pod["containers"]
    assert container["args"] == deployed["args"]
    plain = {entry["name"]: entry.get("value") for entry in deployed["env"]}
    assert {entry["name"]: entry.get("value") for entry in container["env"]}.items() <= (
        plain.items()
    )
    places = {mount["mountPath"] for mount in deployed["volumeMounts"]}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == places - {"/tmp"}
    assert {volume["name"] for volume in pod["volumes"]} == {
        mount["name"] for mount in container["volumeMounts"]
    }
    assert contract.KEYS_DIR in places


def test_without_a_gateway_that_runs_already(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["gateway", "files", "--out", str(tmp_path)]) == 1
    assert "gateway is None in stacks/production.py; expected ExistingGateway" in (
        capsys.readouterr().err
    )


def test_a_place_that_cannot_be_written(objects: tuple[Manifest, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OpsError, match="file cannot be written"):
        write_files(tmp_path / "file", objects, EXISTING_GATEWAY)
    with pytest.raises(OpsError, match="is not empty; expected a new or an empty directory"):
        write_files(tmp_path, objects, EXISTING_GATEWAY)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
