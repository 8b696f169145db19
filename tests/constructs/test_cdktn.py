"""The move to cdktn is one command over one file: the stack's JSON stays the same (ADR 1)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.machine.build_run import OfflineError
from ops.machine.node import node_path
from ops.terraform.synth import STACK, synthesize
from tests.conftest import ROOT
from tests.constructs.cdktn_environment import cdktn_python

Key = tuple[str | int, ...]

ADR = ROOT / "docs/adr/0001-cdktf-behind-one-seam.md"
DIFFERENCES: dict[Key, tuple[object, object]] = {
    # The library writes its own version.
    ("//", "metadata", "version"): ("0.21.0", "0.24.0"),
    # The same provider: Terraform completes the short name to the long one.
    ("terraform", "required_providers", "kubernetes", "source"): (
        "kubernetes",
        "hashicorp/kubernetes",
    ),
    # Each bindings name the provider that they were generated from.
    ("terraform", "required_providers", "kubernetes", "version"): ("2.38.0", "3.2.1"),
}
"""The value today and with cdktn, for every value that differs."""


def leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, object]]:
    """Yield each scalar and each empty container, with its place."""
    if isinstance(value, dict | list) and value:
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(member, (*key, name))
    else:
        yield key, value


def differences(before: Any, after: Any) -> dict[Key, tuple[object, object]]:
    """List the values that differ, with None where one side has no such place."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return {
        key: (old.get(key), new.get(key))
        for key in {**old, **new}
        if key not in old or key not in new or old[key] != new[key]
    }


def move(tree: Path) -> None:
    """Copy what main.py reads, and run the ADR's command there."""
    for name in ("stacks", "llama_swap_config", "in_pod"):
        (tree / name).symlink_to(ROOT / name)
    # Python takes the folder of a linked main.py for its own.
    shutil.copy(ROOT / "main.py", tree)
    shutil.copytree(
        ROOT / "constructs", tree / "constructs", ignore=shutil.ignore_patterns("__pycache__")
    )
    (command,) = re.findall(
        r"^ *(sed .* constructs/terraform\.py)$", ADR.read_text(), re.MULTILINE
    )
    subprocess.run(shlex.split(command), cwd=tree, check=True)


@pytest.fixture(scope="module")
def today() -> dict[str, Any]:
    return synthesize().document


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What main.py writes after the move."""
    try:
        python = cdktn_python(print)
    except OfflineError as error:
        pytest.skip(f"cdktn cannot be downloaded ({str(error).rpartition(' | ')[2]})")
    tree = tmp_path_factory.mktemp("cdktn")
    move(tree)
    env = os.environ | {"PATH": node_path(), "CDKTF_OUTDIR": "cdktf.out"}
    env.pop("PYTHONPATH", None)
    result = subprocess.run(
        [python, "main.py"], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(
        (tree / "cdktf.out/stacks" / STACK / "cdk.tf.json").read_text()
    )
    return document


def test_the_move_changes_only_the_listed_values(
    today: dict[str, Any], moved: dict[str, Any]
) -> None:
    assert differences(today, moved) == DIFFERENCES


def test_the_compared_stack_has_every_kind_of_resource(today: dict[str, Any]) -> None:
    exported = re.findall(r'"(\w+_v1)"', (ROOT / "constructs/terraform.py").read_text())
    assert set(today["resource"]) == {f"kubernetes_{name}" for name in exported}


def test_a_value_that_is_wrapped_or_missing_is_a_difference() -> None:
    before = {"metadata": {"name": "a"}, "data": {}, "port": 1}
    after = {"metadata": [{"name": "a"}], "port": 1}
    assert differences(before, after) == {
        ("metadata", "name"): ("a", None),
        ("metadata", 0, "name"): (None, "a"),
        ("data",): ({}, None),
    }
