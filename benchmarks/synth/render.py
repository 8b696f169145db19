"""Time the check and rendering of registries with 10, 100 and 1000 models, and in 8 pools.

It counts CPU time, so that a busy machine says the same.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from llama_swap_config.cluster.pod_resources import HOSTNAME, Gpu
from llama_swap_config.declaration import Declaration, load
from llama_swap_config.front_ends.llama_swap import render_llama_swap
from llama_swap_config.lock.file import render_lock
from llama_swap_config.lock.locked import LockedFile, LockedModel, LockEntry
from llama_swap_config.plans.download import render_download_plan
from stacks.declared import load_settings
from stacks.pool import Pool
from stacks.pools import pools_of
from stacks.settings import Settings

ROUNDS = 5
POOLS = 8


def lock_text(count: int, first: LockedModel) -> str:
    """Write a lock of `count` models: the registry's first one under other names."""

    def file(index: int, of: LockedFile) -> LockedFile:
        return replace(
            of,
            repository=f"owner/model-{index}",
            revision=f"{index:040x}",
            name=f"{of.role}-{index}.gguf",
            sha256=f"{2 * index + (of.role == 'model'):064x}",
        )

    def entry(index: int) -> LockEntry:
        files = tuple(file(index, of) for of in first.files)
        sha256 = tuple(it.sha256 for it in files)
        return LockEntry(
            files=files, memory=tuple(replace(it, sha256=sha256) for it in first.memory)
        )

    return render_lock({f"model-{index}": entry(index) for index in range(count)})


def render_s(count: int, first: LockedModel, lock: Path, settings: Settings) -> float:
    """Time one registry, from its entries to the rendered files of each pool."""
    names = [settings.pool, *(pool.name for pool in settings.pools)]
    started = time.process_time()
    models = tuple(
        replace(
            first.model,
            id=f"model-{index}",
            repository=f"owner/model-{index}",
            file=None,
            aliases=(f"alias-{index}",),
            pools=(names[index % len(names)],),
        )
        for index in range(count)
    )
    for pool in pools_of(settings, Declaration.of(models, lock_path=lock)):
        render_llama_swap(pool.declaration.locked, pool.settings.llama_swap, pool.residents)
        render_download_plan(pool.downloads)
    return time.process_time() - started


def several_pools(settings: Settings) -> Settings:
    """Return settings with further pools of one node each, which share the volume."""
    first, *others = (
        Gpu(product="Tesla-T4", node_selector={HOSTNAME: f"node-{number}"})
        for number in range(POOLS)
    )
    pools = tuple(Pool(name=gpu.node_selector[HOSTNAME], gpu=gpu) for gpu in others)
    return replace(settings, gpu=first, pools=pools)


def main() -> None:
    """Print the time of each size, and how it scales."""
    first, *_ = load().locked
    settings = replace(load_settings(), storage_size_gib=10_000)
    pools = several_pools(settings)
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "models.lock.json"
        per_model = []
        for count in (10, 100, 1000):
            lock.write_text(lock_text(count, first))
            seconds = statistics.median(
                render_s(count, first, lock, settings) for _ in range(ROUNDS)
            )
            per_model.append(seconds / count)
            print(
                f"{count:5d} models: {seconds * 1e3:7.1f} ms, {per_model[-1] * 1e6:6.0f} us each"
            )
        seconds = statistics.median(render_s(count, first, lock, pools) for _ in range(ROUNDS))
        print(f"{count:5d} models in {POOLS} pools: {seconds * 1e3:7.1f} ms")
    print(
        f"a model of 1000 costs {per_model[-1] / per_model[0]:.2f}x a model of 10 (1.0 = linear)"
    )


if __name__ == "__main__":
    main()
