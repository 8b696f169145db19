"""The way of the weights on this machine: the real programs, a hub on loopback, small stand-ins.

Each file of the lock is played by random bytes, so nothing here can be served; what runs is the
download and the warm-up that run in the cluster.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from llama_swap_config.checks import check_registry
from llama_swap_config.download_plan import render_download_plan
from llama_swap_config.lock import LockedFile, LockedModel, lock_models, read_lock
from llama_swap_config.registry import REGISTRY
from llama_swap_config.warm_plan import render_warm_plan
from ops.errors import OpsError
from ops.local_hub import HubFile, LocalHub
from ops.synth import ROOT
from ops.weights import VolumeStatus, plan_of, status

_SCALE = 500
"""A stand-in has this share of its file's bytes: all of them together, some 30 MiB."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStore:
    """A filled store, and what it was filled from."""

    volume: Path
    lock_path: Path
    """The lock of the stand-ins: the registry's models with other bytes."""
    status: VolumeStatus


def fill(state_dir: Path, *, say: Say) -> LocalStore:
    """Fill a store with stand-ins for the registry's files, and warm them.

    What is there from an earlier run costs no request, as in the cluster.

    Args:
        state_dir: Where store, hub and plans are kept.
        say: Takes a line for the operator.

    Raises:
        OpsError: when a program fails; its own line says why.
    """
    locked = lock_models(check_registry(REGISTRY), read_lock())
    stand_ins, hub_files = _stand_ins(locked, state_dir / "hub")
    volume = state_dir / "models"
    lock_path = _write(state_dir / "models.lock.json", _lock_text(stand_ins))
    download_plan = _write(state_dir / "download-plan.json", render_download_plan(stand_ins))
    warm_plan = _write(state_dir / "warm-plan.json", render_warm_plan(stand_ins))
    with LocalHub(hub_files) as hub:
        _run("download.py", "--plan", download_plan, "--models", volume, say=say, hub=hub)
        _run("warm.py", "--plan", warm_plan, "--models", volume, say=say, hub=hub)
    return LocalStore(
        volume=volume, lock_path=lock_path, status=status(plan_of(lock_path), volume)
    )


def _stand_ins(
    locked: tuple[LockedModel, ...], folder: Path
) -> tuple[tuple[LockedModel, ...], dict[tuple[str, str], HubFile]]:
    """Make a small file for each of the lock's, the same in each run."""
    hub_files: dict[tuple[str, str], HubFile] = {}

    def stand_in(file: LockedFile) -> LockedFile:
        path = folder / file.repository / file.name
        size = max(1, file.size_bytes // _SCALE)
        if not path.is_file() or path.stat().st_size != size:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.Random(file.sha256).randbytes(size))  # noqa: S311 - no secret.
        found = hub_files[file.repository, file.name] = HubFile.of(path)
        return replace(file, size_bytes=size, sha256=found.sha256)

    models = tuple(
        replace(
            each,
            weights=stand_in(each.weights),
            projector=None if each.projector is None else stand_in(each.projector),
        )
        for each in locked
    )
    return models, hub_files


def _lock_text(models: Iterable[LockedModel]) -> str:
    entries = {
        each.model.id: {
            "repository": each.weights.repository,
            "revision": each.weights.revision,
            "files": [
                {
                    "role": file.role,
                    "name": file.name,
                    "quantisation": file.quantisation,
                    "size_bytes": file.size_bytes,
                    "sha256": file.sha256,
                }
                for file in each.files
            ],
        }
        for each in models
    }
    return json.dumps({"version": 1, "models": entries}, indent=2) + "\n"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _run(program: str, *arguments: str | Path, say: Say, hub: LocalHub) -> None:
    """Run a program of in_pod/ as its pod does, and pass on what it says."""
    env = {**os.environ, "HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1"}
    env.pop("HF_TOKEN", None)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "in_pod" / program), *map(str, arguments)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker.
    line = ""
    with process:
        for line in process.stdout:
            if not line.startswith("{"):  # The warm-up's report, for programs.
                say(f"{program}: {line.rstrip()}")
    if process.returncode:
        raise OpsError(f"{program} ended with exit code {process.returncode} ({line.strip()})")
