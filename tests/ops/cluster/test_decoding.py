"""Threads that decode a Kubernetes type at the same time for the first time do not crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("what", ["kubeconfig", "objects"])
def test_first_decode_in_many_threads_ends_well(what: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.ops.cluster.decoding_threads", what, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
