"""Small models of the benchmarked architectures, served and asked about a picture."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.vram.engine import reserved
from benchmarks.vram.holes import write_holes
from benchmarks.vram.shapes.published import PUBLISHED
from benchmarks.vram.shapes.shape import Published
from llama_swap_config.model import Model
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.endpoint.pictures import data_uri, solid_picture
from ops.errors import OpsError
from ops.machine.llama_server import rpc_programs
from ops.machine.ports import free_ports
from tests.real.tiny_shapes import TINY, write_random

MODEL = Model(
    id="x", repository="owner/name", quantisation="F32", projector="F32", image_max_tokens=256,
    context=2048,
)  # fmt: skip


@pytest.fixture(scope="session")
def programs() -> Path:
    return rpc_programs(print)


@pytest.fixture(params=list(TINY))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    text, tower = TINY[request.param]
    write_random(tmp_path / "model.gguf", text)
    write_random(tmp_path / "mmproj.gguf", tower)
    return tmp_path


def test_it_answers_about_a_picture(programs: Path, folder: Path) -> None:
    with _serving(programs / "llama-server", folder) as endpoint:
        blind = _ask(endpoint)
        red, again, blue = (_ask(endpoint, colour) for colour in ("red", "red", "blue"))
    assert red["usage"]["prompt_tokens"] > blind["usage"]["prompt_tokens"]
    assert red["usage"]["completion_tokens"] == 4
    assert _probabilities(red) == _probabilities(again)
    assert _probabilities(red) != _probabilities(blue)


def test_the_promised_memory_is_the_loaded(programs: Path, folder: Path) -> None:
    loaded = reserved(programs, MODEL, folder)
    promised = reserved(programs, MODEL, folder, stage="promised")
    for term in ("weights", "kv_cache", "compute"):
        assert getattr(promised, term) == getattr(loaded, term), term
    assert promised.total_mib == pytest.approx(loaded.total_mib, abs=0.011)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_the_engine_accepts_a_published_shape(
    published: Published, programs: Path, tmp_path: Path
) -> None:
    write_holes(tmp_path / "model.gguf", published.text, "Q4_K_M")
    write_holes(tmp_path / "mmproj.gguf", published.tower, "F16")
    model = replace(MODEL, context=8192, image_max_tokens=1024)
    promised = reserved(programs, model, tmp_path, stage="promised")
    assert min(astuple(promised)) > 0


def test_a_projector_that_the_engine_cannot_read_has_no_size(
    programs: Path, tmp_path: Path
) -> None:
    text, tower = TINY["gemma3"]
    write_random(tmp_path / "model.gguf", text)
    unknown = replace(tower, keys={**tower.keys, "projector_type": "gemma9"})
    write_random(tmp_path / "mmproj.gguf", unknown)
    with pytest.raises(OpsError, match="did not log what the projector takes"):
        reserved(programs, MODEL, tmp_path, stage="promised")


def _ask(endpoint: Endpoint, colour: str = "") -> Any:
    content: list[dict[str, Any]] = [{"type": "text", "text": "What is this?"}]
    if colour:
        url = data_uri(solid_picture(colour))
        content.append({"type": "image_url", "image_url": {"url": url}})
    body = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 4,
        "temperature": 0,
        # With a part of the prompt from the cache, even the same question differs in a digit.
        "cache_prompt": False,
        "ignore_eos": True,
        "logprobs": True,
        "top_logprobs": 1,
    }
    answer = endpoint.post("/v1/chat/completions", body, timeout_s=60)
    return answer.document()


def _probabilities(answer: Any) -> list[float]:
    return [token["logprob"] for token in answer["choices"][0]["logprobs"]["content"]]


@contextlib.contextmanager
def _serving(llama_server: Path, folder: Path) -> Iterator[Endpoint]:
    port = free_ports()
    command = [
        str(llama_server), "--port", str(port), "--model", str(folder / "model.gguf"),
        "--mmproj", str(folder / "mmproj.gguf"), "--ctx-size", "2048", "--parallel", "1",
    ]  # fmt: skip
    log = folder / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            with Endpoint(f"http://127.0.0.1:{port}") as endpoint:
                deadline = time.monotonic() + 60
                while not _is_ready(endpoint):
                    assert process.poll() is None, log.read_text()[-3000:]
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                yield endpoint
        finally:
            process.kill()


def _is_ready(endpoint: Endpoint) -> bool:
    try:
        return endpoint.get("/health", timeout_s=5).status == 200
    except CheckError:
        return False
