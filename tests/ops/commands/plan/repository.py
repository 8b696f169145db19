"""A git repository of this tree in a temporary directory, for the tests of `ops plan`."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.declaration import pools

_PARTS = (".gitignore", "main.py", "stacks", "constructs", "llama_swap_config", "ops", "in_pod")
_IDENTITY = {
    "user.name": "tests",
    "user.email": "tests@example.org",
    "commit.gpgsign": "false",
    "gc.auto": "0",
}


class Repository:
    """A clone whose `main` is the working tree that is tested, with the frozen declaration."""

    def __init__(self, root: Path) -> None:
        """Copy what a synth needs, and commit it."""
        self.root = root
        root.mkdir()
        for name in _PARTS:
            source = ROOT / name
            if source.is_file():
                shutil.copy(source, root)
            else:
                unwanted = shutil.ignore_patterns("__pycache__", "definitions")
                shutil.copytree(source, root / name, ignore=unwanted)
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in _IDENTITY.items():
            self.git("config", name, value)
        self.commit("base")

    def git(self, *words: str) -> str:
        result = subprocess.run(
            ["git", *words], cwd=self.root, check=True, capture_output=True, text=True
        )
        return result.stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str) -> None:
        """Start over from main."""
        self.git("checkout", "--quiet", "--force", "-B", name, "main")
        self.git("clean", "--quiet", "--force", "-d")
        # Bytecode knows its source by second and size, and a test edits faster than that.
        for path in self.root.rglob("__pycache__"):
            shutil.rmtree(path)

    def replace(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        file.write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        file = self.root / path
        file.write_text(file.read_text() + text)

    def registry(self, old: str, new: str) -> None:
        self.replace("llama_swap_config/registry.py", old, new)

    def lock(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._lock.read_text())
        return document

    def write_lock(self, document: dict[str, Any]) -> None:
        document["models"] = dict(sorted(document["models"].items()))
        self._lock.write_text(json.dumps(document, indent=2) + "\n")

    @property
    def _lock(self) -> Path:
        return self.root / "llama_swap_config" / "models.lock.json"


QWEN3VL_4B = """    Model(
        id="qwen3vl-4b",
        repository="Qwen/Qwen3-VL-4B-Instruct-GGUF",
        quantisation="Q4_K_M",
        name="Qwen3-VL 4B Instruct",
        description="Half the size of the 8B and the fastest to swap in.",
    ),
"""


def add_a_model(repository: Repository) -> None:
    """A new model whose files have the shapes of the 4B, and digests of their own."""
    added = """    Model(
        id="qwen3vl-4b-thinking",
        repository="Qwen/Qwen3-VL-4B-Thinking-GGUF",
        quantisation="Q4_K_M",
        reasoning="on",
    ),
"""
    repository.registry(QWEN3VL_4B, QWEN3VL_4B + added)
    lock = repository.lock()
    entry = json.loads(json.dumps(lock["models"]["qwen3vl-4b"]).replace("-Instruct", "-Thinking"))
    for file, digit in zip(entry["files"], "ab", strict=True):
        file["sha256"] = digit * 64
    for measured in entry["memory"]:
        measured["sha256"] = [file["sha256"] for file in entry["files"]]
    lock["models"]["qwen3vl-4b-thinking"] = entry
    repository.write_lock(lock)


def change_a_context(repository: Repository) -> None:
    old = 'name="Qwen3-VL 4B Instruct",\n'
    repository.registry(old, f"{old}        context=4096,\n")


def change_an_image(repository: Repository) -> None:
    old = "50c640b15d7914ba356eb1e034680907b6c25eff7bdbe0071d77b907abfc0e0b"
    repository.replace("stacks/production.py", old, "c" * 64)


def upgrade_the_engine(repository: Repository) -> None:
    """Another image with another build of llama.cpp."""
    change_an_image(repository)
    repository.replace("stacks/production.py", "engine_build=10524", "engine_build=11434")


def measure_the_upgrade(repository: Repository, grown_mib: Mapping[str, float]) -> None:
    """Add figures of that build to the lock, as `ops lock` does: the cache grows by these MiB."""
    lock = repository.lock()
    for model_id, mib in grown_mib.items():
        memory = lock["models"][model_id]["memory"]
        measured = json.loads(json.dumps(memory[0])) | {"engine_build": 11434}
        for at in measured["contexts"]:
            at["kv_cache_mib"] += mib
        memory.append(measured)
    repository.write_lock(lock)


def rename_a_model(repository: Repository) -> None:
    repository.registry('id="qwen3vl-4b"', 'id="qwen3vl-small"')
    consumers = repository.root / "llama_swap_config" / "consumers.py"
    consumers.write_text(consumers.read_text().replace("qwen3vl-4b", "qwen3vl-small"))
    lock = repository.lock()
    lock["models"]["qwen3vl-small"] = lock["models"].pop("qwen3vl-4b")
    repository.write_lock(lock)


def change_the_consumers(repository: Repository) -> None:
    """One may ask another model and evict, one is new, one is gone."""
    path = "llama_swap_config/consumers.py"
    old = 'models=("qwen3vl-4b",),'
    repository.replace(path, old, 'models=("qwen3vl-8b", "qwen3vl-4b"),\n        may_evict=True,')
    repository.replace(path, 'name="n8n",', 'name="flows",')


def reformat_the_registry(repository: Repository) -> None:
    repository.registry(
        QWEN3VL_4B,
        '    # The small one.\n    Model(description="Half the size of the 8B "\n'
        '    "and the fastest to swap in.", id="qwen3vl-4b", name="Qwen3-VL 4B Instruct",\n'
        '    quantisation="Q4_K_M", repository="Qwen/Qwen3-VL-4B-Instruct-GGUF"),\n',
    )


def declare_pools(repository: Repository) -> None:
    """Three pools in place of the one, and homes of the models."""
    edit = """

from dataclasses import replace

from llama_swap_config.cluster.pod_resources import HOSTNAME, Gpu
from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.fit.residency import AsManyAsFit
from stacks.pool import Pool
from stacks.settings import Settings

"""
    names = f"T4, RTX3090, TWO_CARDS = {(pools.T4, pools.RTX3090, pools.TWO_CARDS)}\n"
    names += f"NODES = {pools.NODES}\n\n\n"
    edit += names + inspect.getsource(pools.in_pools) + "\n\nPRODUCTION = in_pools(PRODUCTION)\n"
    repository.append("stacks/production.py", edit)
    house(repository, pools.HOMES)


def house(repository: Repository, homes: Mapping[str, tuple[str, ...]]) -> None:
    """Name the models' homes."""
    repository.append(
        "llama_swap_config/registry.py",
        "\n\nfrom dataclasses import replace\n\n"
        f"HOMES = {dict(homes)}\n"
        "REGISTRY = tuple(replace(model, pools=HOMES[model.id]) for model in REGISTRY)\n",
    )


def forget_pools(repository: Repository) -> None:
    """Give what loads the pools a name that no tree has, as if there were none."""
    path = repository.root / "stacks" / "declared.py"
    path.write_text(path.read_text().replace("load_pools", "of_a_later_tree"))
