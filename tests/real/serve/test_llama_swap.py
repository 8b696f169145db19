"""The real llama-swap, if it is on PATH, reads the rendered file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.registry import REGISTRY

LLAMA_SWAP = shutil.which("llama-swap")

pytestmark = pytest.mark.skipif(
    LLAMA_SWAP is None, reason="llama-swap is not on PATH (no package registry has it)"
)

RECORDER = """#!/bin/sh
# Stands in for llama-server: writes down how it was called, then is not there.
printf '%s\\n' "$PWD" "$@" > "$0.$(date +%N).called"
exit 1
"""


@contextmanager
def running(config: str, port: int, folder: Path, **env: str) -> Iterator[str]:
    path = folder / "llama-swap.yaml"
    path.write_text(config)
    log = (folder / "log").open("wb")
    assert LLAMA_SWAP is not None
    process = subprocess.Popen(
        [LLAMA_SWAP, "-config", str(path), "-listen", f"127.0.0.1:{port}"],
        stdout=log,
        stderr=log,
        env=os.environ | env,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{url}/wol-health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def test_llama_swap_lists_exactly_the_models_of_the_registry(
    locked: tuple[LockedModel, ...], free_port: int, tmp_path: Path
) -> None:
    config = render_llama_swap(locked, LlamaSwapSettings())
    with running(config, free_port, tmp_path) as url:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as response:
            listed = json.load(response)["data"]
    assert {model["id"]: model["name"] for model in listed} == {
        model.id: model.name for model in REGISTRY
    }


def test_llama_swap_starts_llama_server_with_all_macros_expanded(
    locked: tuple[LockedModel, ...], free_port: int, tmp_path: Path
) -> None:
    recorder = tmp_path / "llama-server"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    server = ServerSettings(binary=str(recorder), models_dir=str(tmp_path / "models"))
    settings = LlamaSwapSettings(server=server)
    (tmp_path / "models" / "sets" / "one").mkdir(parents=True)
    (tmp_path / "models" / "qwen3vl-4b").symlink_to("sets/one")
    request = json.dumps({"model": "qwen3vl-4b", "messages": []}).encode()
    with running(render_llama_swap(locked, settings), free_port, tmp_path) as url:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(
                urllib.request.Request(
                    f"{url}/v1/chat/completions",
                    data=request,
                    headers={"Content-Type": "application/json"},
                ),
                timeout=10,
            )
        caught.value.close()
    (called,) = tmp_path.glob("llama-server.*.called")
    words = called.read_text().splitlines()
    # Where the link led when it started, not the link.
    assert Path(words[0]) == tmp_path / "models" / "sets" / "one"
    assert words[words.index("--model") + 1] == "model.gguf"
    assert words[words.index("--alias") + 1] == "qwen3vl-4b"
    assert words[words.index("--port") + 1].isdigit()
    assert not [word for word in words if "${" in word]


def test_llama_swap_requires_the_keys_of_its_environment(
    locked: tuple[LockedModel, ...], free_port: int, tmp_path: Path
) -> None:
    config = render_llama_swap(locked, LlamaSwapSettings(api_key_env=("KEY_GATEWAY",)))
    with running(config, free_port, tmp_path, KEY_GATEWAY="s3cret") as url:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/v1/models", timeout=5)
        assert caught.value.code == 401
        caught.value.close()
        request = urllib.request.Request(
            f"{url}/v1/models", headers={"Authorization": "Bearer s3cret"}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200
