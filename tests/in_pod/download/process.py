"""The download program in a process of its own, as the Job runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.in_pod.download.volume import Source

PROGRAM = (sys.executable, "-m", "in_pod.download")
"""Runs in the root of the repository."""


def options(source: Source, models: Path, *arguments: str) -> tuple[str, ...]:
    return (
        *("--plan", str(source.plan_path), "--models", str(models)),
        *("--connections=4", "--lease-s=3", "--wait-s=0", *arguments),
    )


def environment(hub_url: str) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": hub_url, "no_proxy": "127.0.0.1"}


def start(source: Source, models: Path, hub_url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *options(source, models, *arguments)],
        cwd=ROOT,
        env=environment(hub_url),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(source: Source, models: Path, hub_url: str, *arguments: str) -> tuple[int, str, str]:
    with start(source, models, hub_url, *arguments) as process:
        output, error = process.communicate(timeout=60)
    return process.returncode, output, error
