"""An endpoint as its clients see it, and the models of the contract tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import psutil

from llama_swap_config.model import Model
from ops.commands.serve.run import Served
from ops.endpoint.pictures import data_uri
from tests.real.contract.front_ends import CONTRACTS, Contract


def _model(id: str, **fields: Any) -> Model:
    return Model(id=id, repository="tiny/random", quantisation="F32", **fields)


# Trained for 4096 tokens, declared as trained for more: 0.25 ms per token at first, 2 ms later,
# so that a stream of a few thousand tokens lasts seconds.
_LONG: dict[str, Any] = {
    "context": 60000,
    "extra_args": ("--override-kv", "qwen3vl.context_length=int:60000"),
}
EYES = _model("eyes", **_LONG)
OTHER = _model("other", aliases=("second-name",))
WORDS = _model("words", projector=None, image_max_tokens=None)
BRIEF = _model("brief", ttl_s=3, image_min_tokens=256)
MODELS = (EYES, OTHER, WORDS, BRIEF)

SECONDS_LONG = 3000
"""Tokens of an answer that takes about a second on a quiet machine."""
MINUTES_LONG = 50000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One served front end. Each request has its own connection."""

    served: Served

    @property
    def contract(self) -> Contract:
        return CONTRACTS[self.served.front_end]

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        return httpx2.get(self.served.url + path, headers=headers, timeout=60, trust_env=False)

    def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        answer = httpx2.post(
            self.served.url + path, json=body, headers=headers, timeout=60, trust_env=False
        )
        if isinstance(body, dict) and body.get("stream"):
            # llama-swap may send the next request into the connection that llama-server closes.
            time.sleep(0.1)
        return answer

    def chat(
        self, content: Any = "ba", *, model: Model = EYES, tokens: int = 8, **more: Any
    ) -> httpx2.Response:
        body = chat_body(content, model=model, tokens=tokens) | more
        return self.post("/v1/chat/completions", body)

    @contextmanager
    def openai(self, key: str = "none") -> Iterator[openai.OpenAI]:
        """Return the openai client, without retries, which would hide an error."""
        apart = httpx2.Limits(max_keepalive_connections=0)
        with httpx2.Client(trust_env=False, limits=apart, timeout=60) as http:
            yield openai.OpenAI(
                base_url=f"{self.served.url}/v1", api_key=key, http_client=http, max_retries=0
            )

    def residents(self) -> dict[str, str]:
        """Return the state of each loaded model."""
        return self.contract.residents(self.get(self.contract.state_path).json())

    def of_model(self, path: str, model: Model) -> str:
        """Return the address of `path` at a model's own llama-server."""
        return self.contract.of_model.format(path=path, model=model.id)

    def unload(self, model: str) -> httpx2.Response:
        return self.post(self.contract.unload.format(model=model), {"model": model})

    def loads(self) -> int:
        """Return how often a llama-server began to load a model, by the log.

        A front end may pass on what its llama-server logs a moment after the answer.
        """
        counted = -1
        while (loads := self.log().count("load_model: loading model '")) != counted:
            counted = loads
            time.sleep(0.1)
        return loads

    def log(self) -> str:
        return self.served.log.read_text(errors="replace")

    def llama_servers(self) -> list[psutil.Process]:
        """Return the processes that serve the models."""
        children = psutil.Process(self.served.pid).children(recursive=True)
        return [child for child in children if child.name().startswith("llama-server")]

    def is_busy(self, model: Model) -> bool:
        """Whether a loaded model is working on a request."""
        slots = self.get(self.of_model("slots", model)).json()
        return any(slot["is_processing"] for slot in slots)


@dataclass(slots=True, kw_only=True)
class Stream:
    """A stream that a thread reads while the test runs."""

    lines: list[str] = field(default_factory=list)
    error: httpx2.HTTPError | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def complete(self) -> bool:
        return "data: [DONE]" in self.lines

    @property
    def finished(self) -> bool:
        """Whether the stream has a finish_reason."""
        return any(
            event["choices"][0]["finish_reason"]
            for event in events(self.lines)
            if event["choices"]
        )


@contextmanager
def streaming(endpoint: Endpoint, *, model: Model = EYES, tokens: int) -> Iterator[Stream]:
    """Read a stream while the context lasts; it flows when the context begins."""
    stream, flows, enough = Stream(), threading.Event(), threading.Event()
    body = chat_body("ba", model=model, tokens=tokens) | {"stream": True, "ignore_eos": True}

    def read() -> None:
        try:
            with httpx2.Client(trust_env=False, timeout=60) as client:
                url = f"{endpoint.served.url}/v1/chat/completions"
                with client.stream("POST", url, json=body) as response:
                    for line in response.iter_lines():
                        if line:
                            stream.lines.append(line)
                        if len(stream.lines) > 10:
                            flows.set()
                        if enough.is_set():
                            return
        except httpx2.HTTPError as error:
            stream.error = error
        finally:
            flows.set()
            stream.over.set()

    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(read)
        try:
            assert flows.wait(30)
            yield stream
        finally:
            enough.set()
            reading.result()


def chat_body(content: Any, *, model: Model, tokens: int) -> dict[str, Any]:
    return {
        "model": model.id,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": content}],
    }


def with_pictures(*addresses: str | bytes) -> list[dict[str, Any]]:
    """Return a question with pictures, each an address or the bytes of a PNG."""
    urls = [address if isinstance(address, str) else data_uri(address) for address in addresses]
    return [
        {"type": "text", "text": "What is this?"},
        *({"type": "image_url", "image_url": {"url": url}} for url in urls),
    ]


def text_of(response: httpx2.Response) -> str:
    """Return the text of a model's answer."""
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def complaint(response: httpx2.Response) -> str:
    """Return the message of an error; llama-swap up to v250 sends it as a plain string."""
    error = response.json()["error"]
    message: str = error if isinstance(error, str) else error["message"]
    return message


def events(lines: list[str]) -> list[Any]:
    """Return the objects of a stream's `data:` lines."""
    texts = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in texts if text != "[DONE]"]


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.05)
