"""What a pod finds mounted is a package that runs, with nothing else of this repository."""

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
    ],
)
def test_a_program_starts_from_its_mounted_config_map(
    pod: str, name: str, production: Json, tmp_path: Path
) -> None:
    spec = pods(production)[pod]
    (container,) = [each for each in containers(spec) if each["name"] == name]
    (mount,) = [
        each
        for each in container["volume_mount"]
        if each["mount_path"] == container["working_dir"]
    ]
    (volume,) = [each for each in spec["volume"] if each["name"] == mount["name"]]
    (data,) = [
        unescaped(each["data"])
        for each in resources(production).values()
        if each["metadata"]["name"] == volume["config_map"]["name"] and "data" in each
    ]
    paths = {each["key"]: tmp_path / each["path"] for each in volume["config_map"]["items"]}
    assert paths.keys() == data.keys()
    for key, path in paths.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(data[key])
    python, *words = container["command"]
    assert python == "python3"
    # -I would leave out the working directory; a pod has none of these variables either.
    said = subprocess.run(
        [sys.executable, "-S", *words, "--help"],
        cwd=tmp_path,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith("usage: ")
    directory = container["working_dir"]
    plans = [f"{directory}/{key}" for key in data if key.endswith(".json")]
    assert [word for word in container["args"] if word.startswith(directory)] == plans
