"""The mounted ConfigMap is a package that runs without the rest of this repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.constructs.synthesized import containers, pods, resources, unescaped

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("pod", "name"),
    [
        ("model-download", "download"),
        ("model-upkeep", "download"),
        ("llama-swap", "warm-up"),
        ("gpu-window-restore", "gpu-window-restore"),
        ("exporter", "exporter"),
    ],
)
def test_a_program_starts_from_its_mounted_config_map(
    pod: str, name: str, production: Json, tmp_path: Path
) -> None:
    spec = pods(production)[pod]
    (container,) = [container for container in containers(spec) if container["name"] == name]
    (mount,) = [
        mount
        for mount in container["volume_mount"]
        if mount["mount_path"] == container["working_dir"]
    ]
    (volume,) = [volume for volume in spec["volume"] if volume["name"] == mount["name"]]
    (data,) = [
        unescaped(resource["data"])
        for resource in resources(production).values()
        if resource["metadata"]["name"] == volume["config_map"]["name"] and "data" in resource
    ]
    paths = {item["key"]: tmp_path / item["path"] for item in volume["config_map"]["items"]}
    assert paths.keys() == data.keys()
    for key, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[key])
    python, *words = container["command"]
    assert python == "python3"
    # Not -I, which would ignore the working directory.
    output = subprocess.run(
        [sys.executable, "-S", *words, "--help"],
        cwd=tmp_path,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.startswith("usage: ")
    directory = container["working_dir"]
    plans = [f"{directory}/{key}" for key in data if key.endswith(".json")]
    assert [word for word in container["args"] if word.startswith(directory)] == plans
