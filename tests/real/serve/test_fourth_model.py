"""A model that is added without the internet is locked, planned, served and answers.

Its quantised cache needs wider heads than those of the other tiny models.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llama_swap_config.registry import REGISTRY
from tests.conftest import ROOT
from tests.ops.commands.plan.repository import Repository
from tests.real.serve.picture_answer import picture_answer

FOURTH = """    Model(
        id="fourth",
        repository="owner/Fourth-GGUF",
        quantisation="Q5_K_M",
        context=8192,
        kv_cache_type_k="q8_0",
        kv_cache_type_v="q8_0",
    ),
)

RESIDENCY"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of this tree, whose registry has a fourth model."""
    tree = Repository(tmp_path_factory.mktemp("fourth") / "tree")
    (tree.root / "tools").symlink_to(ROOT / "tools")
    tree.registry(")\n\nRESIDENCY", FOURTH)
    result = ops(tree, "hub", "--", sys.executable, "-m", "ops", "lock")
    assert result.returncode == 0, result.stderr
    return tree


def environment() -> dict[str, str]:
    env = dict(os.environ)
    env.pop("PYTHONPATH", None)
    # What needs the real hub would fail.
    return env | {"HF_ENDPOINT": "http://127.0.0.1:9"}


def ops(tree: Repository, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", *words],
        cwd=tree.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_the_fourth_model_is_a_stand_in(tree: Repository) -> None:
    revisions = {name: entry["revision"] for name, entry in tree.lock()["models"].items()}
    assert revisions.pop("fourth") == "0" * 40
    assert set(revisions) == {model.id for model in REGISTRY}
    assert "0" * 40 not in revisions.values()
    checked = ops(tree, "lock", "--check")
    assert checked.returncode == 1
    assert checked.stderr == "error: 1 of 4 models are not locked. Run `python -m ops lock`.\n"


def test_the_plan_shows_the_model_and_warns(tree: Repository, tmp_path: Path) -> None:
    planned = ops(tree, "plan", "--report", str(tmp_path))
    assert planned.returncode == 2, planned.stderr
    document = json.loads((tmp_path / "plan.json").read_text())
    assert [(model["id"], model["action"]) for model in document["models"]] == [
        ("fourth", "added")
    ]
    (line,) = document["budget"]["stand_ins"]
    assert line.startswith("model 'fourth': revision is '0000000000")
    text = (tmp_path / "plan.md").read_text()
    assert text.index("Not for a real cluster") < text.index("Files")


@pytest.fixture
def served(tree: Repository, llama_server: Path, tmp_path: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ops", "serve", "--front-end", "llama-server"),
            *("--state-dir", str(tmp_path)),
        ],
        cwd=tree.root,
        env=environment() | {"LLAMA_SERVER": str(llama_server)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        addresses = (
            re.search(r" at (http://127\.0\.0\.1:\d+)/v1$", line) for line in process.stdout
        )
        try:
            yield next(address[1] for address in addresses if address)
        finally:
            process.send_signal(signal.SIGINT)


def test_the_model_answers_about_a_picture(served: str) -> None:
    assert picture_answer(served, "fourth").strip()
