"""The serving container's own script, run on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from llama_swap_config.fit.residency import ONE_RESIDENT
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName, FrontEndProgram
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from ops.machine.ports import free_ports
from tests.real.serve.served import skip_without


def container_program(
    front_end: FrontEndName,
    locked: tuple[LockedModel, ...],
    binary: Path,
    volume: Path,
    port: int,
    *,
    keys: tuple[str, ...] = (),
) -> FrontEndProgram:
    """Return the container's command for a volume and the programs of this machine."""
    skip_without(front_end)
    chosen = FRONT_ENDS[front_end]
    settings = LlamaSwapSettings(
        binary=shutil.which(chosen.on_path) or "",
        server=ServerSettings(binary=str(binary), models_dir=str(volume), device=None),
        start_port=free_ports(len(locked), avoid=(port,)),
        api_key_env=keys,
    )
    return chosen.program(locked, settings, port=port, residents=ONE_RESIDENT)


@contextmanager
def container(
    program: FrontEndProgram, port: int, folder: Path, **env: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the container's script here with another configuration folder and address."""
    process = start(program, folder, **env)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            assert process.poll() is None, log_of(folder)
            try:
                httpx2.get(f"{url}/health", timeout=1, trust_env=False).raise_for_status()
                break
            except httpx2.HTTPError:
                time.sleep(0.05)
        yield url, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def start(program: FrontEndProgram, folder: Path, **env: str) -> subprocess.Popen[str]:
    (folder / program.config_key).write_text(program.config)
    script = program.script.replace("/config/", f"{folder}/").replace("0.0.0.0", "127.0.0.1")
    script = script.replace("/tmp/log", f"{folder}/pipe")
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR")}
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            ["/bin/sh", "-c", script],
            env={**inherited, "HOME": str(folder / "home"), **program.env, **env},
            stdout=log,
            stderr=log,
            text=True,
        )


def log_of(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")


def front_end_of(process: subprocess.Popen[str]) -> psutil.Process:
    """Return the front end among the shell's children; the other one filters the log."""
    children = psutil.Process(process.pid).children()
    (front_end,) = [child for child in children if child.name().startswith("llama-")]
    return front_end
