"""llama-server's real router reads the rendered file, and the pod's own command starts it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from llama_swap_config.flags import BY_NAME
from llama_swap_config.front_ends.front_end import FrontEndProgram
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model, Sampling
from ops.commands.serve.run import Served
from ops.endpoint.pictures import solid_picture
from tests.real.serve.container import container, container_program, front_end_of, log_of, start
from tests.real.serve.served import served, store_of


def model(name: str, **fields: Any) -> Model:
    return Model(id=name, repository="tiny/random", quantisation="F32", **fields)


MODELS = (
    model("first", ttl_s=2, aliases=("photos", "gpt-4o:x")),
    model(
        "second",
        ttl_s=0,
        sampling=Sampling(temperature=0.2),
        extra_args=("--no-warmup", "--chat-template-kwargs", '{"é": "b  c", "d": [1]}'),
    ),
    model("third", projector=None, image_max_tokens=None),
)


@pytest.fixture(scope="module")
def running(llama_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(MODELS, tmp_path_factory.mktemp("router"), "llama-server") as running:
        yield running


def chat(url: str, name: str, **headers: str) -> httpx2.Response:
    body = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    return httpx2.post(
        f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False
    )


def statuses(url: str) -> dict[str, Any]:
    listed = httpx2.get(f"{url}/models", timeout=5, trust_env=False).json()["data"]
    return {model["id"]: model["status"] for model in listed}


def engine(pid: int) -> list[str]:
    """Return the command line of the model's process."""
    (only,) = psutil.Process(pid).children()
    return only.cmdline()


def test_each_model_answers_by_its_id_and_its_aliases(running: Served) -> None:
    for name, answered_by in (
        *((model.id, model.id) for model in MODELS),
        ("photos", "first"),
        ("gpt-4o:x", "first"),
    ):
        answer = chat(running.url, name)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == answered_by


def test_model_runs_with_the_flags_of_its_section(running: Served) -> None:
    assert chat(running.url, "second").status_code == 200
    words = engine(running.pid)
    for flag, value in {
        "--host": "127.0.0.1",
        "--alias": "second",
        "--ctx-size": "3072",
        "--image-max-tokens": "1024",
        "--parallel": "1",
        "--n-gpu-layers": "99",
        "--flash-attn": "on",
        "--fit": "off",
        "--load-mode": "none",
        "--cache-ram": "512",
        "--cache-type-k": "f16",
        "--reasoning": "off",
        "--temperature": "0.2",
        "--threads-http": "64",
        "--chat-template-kwargs": '{"é": "b  c", "d": [1]}',
    }.items():
        assert words[words.index(flag) + 1] == value
    assert words[words.index("--model") + 1].endswith("/second/model.gguf")
    assert words[words.index("--mmproj") + 1].endswith("/second/mmproj.gguf")
    assert {"--metrics", "--offline", "--jinja", "--no-warmup"} <= set(words)
    assert {"--no-ui", "--no-webui"} & set(words)
    assert "--sleep-idle-seconds" not in words


def test_an_idle_model_sleeps_and_answers_again(running: Served) -> None:
    assert chat(running.url, "first").status_code == 200
    deadline = time.monotonic() + 20
    while statuses(running.url)["first"]["value"] != "sleeping":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert chat(running.url, "first").status_code == 200


def test_picture_uses_the_marker_that_the_container_sets(running: Served) -> None:
    picture = base64.b64encode(solid_picture("red")).decode()
    prompt = {"prompt_string": "<__media__> what is it", "multimodal_data": [picture]}
    body = {"model": "first", "prompt": prompt, "n_predict": 2}
    answer = httpx2.post(f"{running.url}/completion", json=body, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text


def test_unknown_model_is_a_bad_request(running: Served) -> None:
    assert chat(running.url, "nobody").status_code == 400


FLAGS = sorted(name for name, flag in BY_NAME.items() if not flag.refusal)


def test_router_knows_every_flag_that_a_model_may_add(
    llama_server: Path, free_port: int, tmp_path: Path
) -> None:
    """The router does not start with an unknown key."""
    plain = {"projector": None, "image_max_tokens": None}
    models = [model("plain", **plain)]
    for number, flag in enumerate(FLAGS):
        words = (flag, "1") if BY_NAME[flag].takes_value else (flag,)
        models.append(model(f"m{number}", extra_args=words, **plain))
    program = pod_program(tuple(models), llama_server, free_port, tmp_path, weights=False)
    with container(program, free_port, tmp_path) as (url, _):
        told = {name: status["args"] for name, status in statuses(url).items()}
    for number, flag in enumerate(FLAGS):
        added = len(told[f"m{number}"]) - len(told["plain"])
        assert added == (2 if BY_NAME[flag].takes_value else 1), flag
        if flag.startswith("--no-"):
            assert flag in told[f"m{number}"]


def pod_program(
    models: tuple[Model, ...],
    binary: Path,
    port: int,
    folder: Path,
    *,
    keys: tuple[str, ...] = (),
    weights: bool = True,
) -> FrontEndProgram:
    """Return the container's command, with or without the models' files."""
    store = store_of(models if weights else (), folder)
    locked = store.models or tuple(_without_files(model) for model in models)
    return container_program("llama-server", locked, binary, store.volume, port, keys=keys)


def _without_files(wanted: Model) -> LockedModel:
    some = next(iter(read_lock().values())).files[0]
    return LockedModel(model=wanted, weights=(some,), projector=None)


def test_pod_requires_its_keys_and_shows_none(
    llama_server: Path, free_port: int, tmp_path: Path
) -> None:
    keys = ("KEY_GATEWAY", "KEY_OWNER")
    program = pod_program(MODELS[:1], llama_server, free_port, tmp_path, keys=keys)
    with container(
        program, free_port, tmp_path, KEY_GATEWAY="s3cret", KEY_OWNER="0wner"
    ) as running:
        url, process = running
        for key, code in (("s3cret", 200), ("0wner", 200), ("s3cret,0wner", 401), ("x", 401)):
            assert chat(url, "first", Authorization=f"Bearer {key}").status_code == code
        assert chat(url, "first").status_code == 401
        router = front_end_of(process)
        for words in (router.cmdline(), engine(router.pid)):
            assert "s3cret" not in " ".join(words)
        assert httpx2.get(f"{url}/health", trust_env=False).status_code == 200
        assert httpx2.get(f"{url}/models", trust_env=False).status_code == 401


@pytest.mark.parametrize("env", [{}, {"KEY_OWNER": ""}], ids=["missing", "empty"])
def test_pod_without_its_key_does_not_start(
    env: dict[str, str], llama_server: Path, free_port: int, tmp_path: Path
) -> None:
    program = pod_program(MODELS[:1], llama_server, free_port, tmp_path, keys=("KEY_OWNER",))
    assert start(program, tmp_path, **env).wait(timeout=20) != 0
    assert "KEY_OWNER" in log_of(tmp_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    url: str
    asked: list[str]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with one repository, as llama-server requests it."""
    store = store_of((model("theirs", projector=None, image_max_tokens=None),), tmp_path / "hub")
    content = (store.volume / "theirs" / "model.gguf").read_bytes()
    sha256 = store.models[0].weights[0].sha256
    file = {"type": "file", "path": "x-Q4_K_M.gguf", "size": len(content), "lfs": {"oid": sha256}}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.endswith("/refs"):
                branch = {"name": "main", "targetCommit": "a" * 40}
                body = json.dumps({"branches": [branch]}).encode()
            else:
                body = json.dumps([file]).encode() if "/tree/" in self.path else content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{sha256}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - The library's name.

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Hub(url=f"http://127.0.0.1:{server.server_address[1]}/", asked=asked)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        pytest.param({}, False, id="as deployed"),
        pytest.param({"LLAMA_CACHE": ""}, True, id="with a cache"),
    ],
)
def test_client_cannot_make_the_router_download_a_model(
    changes: dict[str, str],
    offered: bool,
    hub: Hub,
    llama_server: Path,
    free_port: int,
    tmp_path: Path,
) -> None:
    """The second case is llama-server's own download path, despite `--offline`."""
    program = pod_program(MODELS[:1], llama_server, free_port, tmp_path / "pod")
    env = {"HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1", **changes}
    with container(program, free_port, tmp_path / "pod", **env) as (url, _):
        httpx2.post(f"{url}/models", json={"model": "owner/theirs"}, trust_env=False)
        deadline = time.monotonic() + 20
        while not hub.asked or (offered and len(statuses(url)) == 1):
            assert time.monotonic() < deadline, hub.asked
            time.sleep(0.1)
        if not offered:
            time.sleep(1)  # A download from this hub takes a tenth of that.
        assert (len(statuses(url)) == 2) is offered
