"""A volume on this machine, filled and warmed by the programs that run in the cluster.

It holds either the locked files from the hub, or tiny random models in their place, which have
their own lock and come from a hub on loopback.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from in_pod.download import contract as download
from in_pod.warm import contract as warm
from llama_swap_config.declaration import load
from llama_swap_config.lock.file import write_lock
from llama_swap_config.lock.locked import READ_FROM_FILE, LockedFile, LockedModel, LockEntry
from llama_swap_config.plans.download import render_download_plan
from llama_swap_config.plans.warm import render_warm_plan
from ops.commands.weights.volume import VolumeStatus, plan_of, status
from ops.errors import OpsError
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header
from ops.hub.local_hub import HubFile, LocalHub
from ops.machine.checkout import ROOT
from ops.machine.parent import ended_with_this
from ops.report.terminal import Say
from stacks.pools import DeclaredPool


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStore:
    """A filled volume, and what it was filled from."""

    volume: Path
    lock_path: Path
    """The lock of its files: the repository's, or that of the tiny models."""
    models: tuple[LockedModel, ...]
    """The models to serve, with the files of that lock."""
    random_weights: bool
    """Whether these are the tiny models, whose answers mean nothing."""

    def of_pool(self, pool: DeclaredPool) -> LocalStore:
        """Return this store with only the models of a pool to serve."""
        ids = {locked.model.id for locked in pool.declaration.locked}
        return replace(
            self, models=tuple(locked for locked in self.models if locked.model.id in ids)
        )

    def status(self) -> VolumeStatus:
        """Compare the volume with its lock."""
        return status(plan_of(self.lock_path), self.volume)


def fill_with_tiny_models(state_dir: Path, *, say: Say) -> LocalStore:
    """Fill a volume with tiny random models under the registry's names, and warm them.

    Files from an earlier run are not downloaded again, as in the cluster.

    Args:
        state_dir: The directory of volume, hub, lock and plans.
        say: Receives a line for the operator.

    Raises:
        OpsError: when a program fails, with its last line.
    """
    models, hub_files = _tiny_models(load().locked, state_dir / "hub")
    lock_path = state_dir / "models.lock.json"
    write_lock(lock_path, {locked.model.id: LockEntry(files=locked.files) for locked in models})
    with LocalHub(hub_files) as hub:
        _fill(state_dir / "models", models, state_dir, hub.environment(), say)
    return LocalStore(
        volume=state_dir / "models", lock_path=lock_path, models=models, random_weights=True
    )


def fill_from_hub(
    volume: Path,
    state_dir: Path,
    *,
    lock_path: Path,
    models: tuple[LockedModel, ...] | None = None,
    say: Say,
) -> LocalStore:
    """Fill a volume with the files of a lock, from the hub of HF_ENDPOINT, and warm them.

    Args:
        volume: The volume's directory.
        state_dir: The directory of the plans.
        lock_path: The lock.
        models: The models of the lock whose files are wanted (default: the registry's).
        say: Receives a line for the operator.

    Raises:
        OpsError: when a program fails, with its last line.
    """
    models = load(lock_path).locked if models is None else models
    _fill(volume, models, state_dir, os.environ, say)
    return LocalStore(volume=volume, lock_path=lock_path, models=models, random_weights=False)


def _fill(
    volume: Path,
    models: tuple[LockedModel, ...],
    state_dir: Path,
    env: Mapping[str, str],
    say: Say,
) -> None:
    download_plan = _write(state_dir / download.PLAN_FILE, render_download_plan(models))
    warm_plan = _write(state_dir / warm.PLAN_FILE, render_warm_plan(models))
    _run("download", "--plan", download_plan, "--models", volume, say=say, env=env)
    _run("warm", "--plan", warm_plan, "--models", volume, say=say, env=env)


def _tiny_models(
    locked: tuple[LockedModel, ...], folder: Path
) -> tuple[tuple[LockedModel, ...], dict[tuple[str, str], HubFile]]:
    """Write a tiny file for each projector and all weights of a model, the same in each run."""
    hub_files: dict[tuple[str, str], HubFile] = {}
    wide = {
        locked_model.weights[0].sha256
        for locked_model in locked
        if locked_model.model.kv_cache_type_k in ("q8_0", "q4_0")
    }

    def tiny(file: LockedFile, *, vision: bool) -> LockedFile:
        path = folder / file.repository / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.role == "model":
            sizes = {"head_size": tiny_models.WIDE_HEAD_SIZE} if file.sha256 in wide else {}
            tiny_models.write_weights(path, file.name, vision=vision, **sizes)
        else:
            tiny_models.write_projector(path, file.name)
        hub_file = hub_files[file.repository, file.name] = HubFile.of(path)
        return replace(
            file,
            size_bytes=path.stat().st_size,
            sha256=hub_file.sha256,
            header=read_file_header(path, file.role),
            header_source=READ_FROM_FILE,
        )

    models = tuple(
        replace(
            model,
            weights=(tiny(model.weights[0], vision=model.projector is not None),),
            projector=None if model.projector is None else tiny(model.projector, vision=True),
        )
        for model in locked
    )
    return models, hub_files


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _run(program: str, *arguments: str | Path, say: Say, env: Mapping[str, str]) -> None:
    """Run a program of in_pod/ as its pod does, and pass on its output."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", f"in_pod.{program}", *map(str, arguments)],
        env={**env, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker.
    line = ""
    with process, ended_with_this(process.pid):
        for line in process.stdout:
            if not line.startswith("{"):  # The warm-up's report, for programs.
                say(f"{program}: {line.rstrip()}")
    if process.returncode:
        raise OpsError(f"{program} ended with exit code {process.returncode} ({line.strip()})")
