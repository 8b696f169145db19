"""Time the check and rendering of registries with 10, 100 and 1000 models."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from llama_swap_config.declaration import Declaration
from llama_swap_config.fit.budget import Node
from llama_swap_config.fit.card import Card
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.lock.file import read_lock, render_lock
from llama_swap_config.lock.locked import LockedFile, LockEntry
from llama_swap_config.model import Model
from llama_swap_config.plans.download import render_download_plan

ROUNDS = 5
NODE = Node(
    card=Card(product="Tesla-T4"),
    engine_build=10524,
    front_end="llama-swap",
    llama_swap=LlamaSwapSettings(),
    storage_size_gib=10_000,
    memory_limit_gib=12,
)
"""Production's node, with a volume for a thousand models."""


def lock_text(count: int) -> str:
    """Write a lock of `count` models: the repository's first one under other names."""
    (first, *_) = read_lock().values()

    def file(index: int, of: LockedFile) -> LockedFile:
        return replace(
            of,
            repository=f"owner/model-{index}",
            revision=f"{index:040x}",
            name=f"{of.role}-{index}.gguf",
            sha256=f"{2 * index + (of.role == 'model'):064x}",
        )

    return render_lock(
        {
            f"model-{index}": LockEntry(files=tuple(file(index, of) for of in first.files))
            for index in range(count)
        }
    )


def render_s(count: int, lock: Path) -> float:
    """Time one registry, from its entries to the rendered files."""
    started = time.perf_counter()
    models = tuple(
        Model(
            id=f"model-{index}",
            repository=f"owner/model-{index}",
            quantisation="Q4_K_M",
            aliases=(f"alias-{index}",),
        )
        for index in range(count)
    )
    declaration = Declaration.of(models, lock_path=lock)
    residents = declaration.residents(NODE)
    render_llama_swap(declaration.locked, LlamaSwapSettings(), residents)
    render_download_plan(declaration.locked)
    return time.perf_counter() - started


def main() -> None:
    """Print the time of each size, and how it scales."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "models.lock.json"
        per_model = []
        for count in (10, 100, 1000):
            lock.write_text(lock_text(count))
            seconds = statistics.median(render_s(count, lock) for _ in range(ROUNDS))
            per_model.append(seconds / count)
            print(
                f"{count:5d} models: {seconds * 1e3:7.1f} ms, {per_model[-1] * 1e6:6.0f} us each"
            )
    print(
        f"a model of 1000 costs {per_model[-1] / per_model[0]:.2f}x a model of 10 (1.0 = linear)"
    )


if __name__ == "__main__":
    main()
