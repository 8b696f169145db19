"""An endpoint whose models give planted scores, lean to one place, fail, are slow or are swapped.

A real HTTP server that answers as llama-swap with llama-server behind it does, so far as the photo
benchmark looks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from llama_swap_config.registry import REGISTRY

MODELS = tuple(model.id for model in REGISTRY)
_UNLIKELY = -30.0
_TOKENS = {text: number for number, text in enumerate("0123456789ABCDEFG", start=100)}


@dataclass(slots=True)
class Clock:
    """Seconds that pass only when somebody waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(kw_only=True)
class ScoringServer:
    """A running endpoint, and what it was asked."""

    scores: Callable[[str, str], float] = lambda _model, image: planted(image)
    """Model and the image's sha256 -> its score, 1 to 5."""
    bias: float = 0.0
    """How much likelier than B each model says A, in logits."""
    mass: float = 0.9
    """Of all labels together."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """`MODEL`, the image's sha256, or `MODEL IMAGE` -> how the answer fails."""
    answer_s: float = 0.0
    load_s: float = 0.0
    models: tuple[str, ...] = MODELS
    two_tokens: tuple[str, ...] = ()
    """Labels that the tokenizer splits: of all models, or `MODEL LABEL`."""
    has_tokenizer: bool = True
    swapped_after: tuple[int, ...] = ()
    """After so many questions another client takes the model away."""
    swapped_back: bool = False
    """Whether that other client has come and gone before anybody can see it."""
    key: str = ""
    sleep: Callable[[float], None] = time.sleep
    """How time passes; a `Clock` makes it exact."""

    loaded: str | None = None
    loads: list[str] = field(default_factory=list)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Model and images of each question; a warm-up's picture too."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    """The most questions that were ever asked at one time."""
    connections: int = 0
    url: str = ""
    stall: bool = False
    """Whether the next answer waits for a load that nobody sees."""
    _cached: bool = False
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Request,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # A client that is killed leaves its connection to a thread that waits on it.
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def chat(self, body: dict[str, Any]) -> tuple[int, Any] | None:
        """Answer a question; None: the connection breaks."""
        model = body["model"]
        images = _images(body)
        with self._lock:
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            self.asked.append((model, images))
            self.bodies.append(body)
            if self.loaded != model:
                self.loaded = model
                self.loads.append(model)
                self._cached = False
                self.sleep(self.load_s)
            cached = 60 if self._cached else 0
            self._cached = True
        try:
            self.sleep(self.answer_s)
            return self._answer(body, model, images, cached)
        finally:
            with self._lock:
                self._running -= 1
                if len(self.asked) in self.swapped_after:
                    if self.swapped_back:
                        self.loads.append(model)
                        self._cached = False
                        self.stall = True
                    else:
                        self.loaded = "somebody else's"

    def _answer(
        self, body: dict[str, Any], model: str, images: tuple[str, ...], cached: int
    ) -> tuple[int, Any] | None:
        if self.stall:
            self.stall = False
            self.sleep(self.load_s)
        fault = next(
            (
                self.faults[name]
                for name in (f"{model} {images[-1]}", images[-1], model)
                if name in self.faults
            ),
            None,
        )
        if fault == "connection":
            return None
        if fault == "timeout":
            time.sleep(1.5)
        if fault == "http_4xx":
            return 400, {"error": {"message": "Failed to load image or audio file", "code": 400}}
        if fault == "http_5xx":
            return 502, ""
        if fault == "server_500_format":
            message = (
                "The model produced output that does not match the expected peg-native format"
            )
            return 500, {"error": {"message": message, "code": 500}}
        if fault == "no_json":
            return 200, "<html>"
        if fault == "key":
            return 400, {"error": f"no such thing as {self.key}"}
        if fault == "drip":
            return 200, _DRIP
        if fault in ("204", "302"):
            return int(fault), ""
        wanted = _wanted(body)
        logprobs = self._logprobs(model, images)
        tokens = [_token(logprobs, _most_likely(logprobs)) for _ in range(wanted)]
        text = "".join(each["token"] for each in tokens)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": "length",
            "logprobs": {"content": tokens, "refusal": None},
        }
        _spoil(choice, fault)
        usage = {"prompt_tokens": 800, "completion_tokens": wanted, "total_tokens": 800 + wanted}
        return 200, {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1780000000,
            "model": model,
            "choices": [choice],
            "usage": usage,
            "timings": {"prompt_ms": 1000 * self.answer_s, "predicted_ms": 0.0, "cache_n": cached},
            "system_fingerprint": "b0-unknown",
        }

    def _logprobs(self, model: str, images: tuple[str, ...]) -> dict[str, float]:
        if len(images) == 2:
            difference = self.scores(model, images[0]) - self.scores(model, images[1]) + self.bias
            first = 1 / (1 + math.exp(-difference))
            return {
                "A": math.log(self.mass * first),
                "B": math.log(self.mass * (1 - first)),
            }
        score = self.scores(model, images[0])
        low = min(4, math.floor(score))
        shares = {str(low): low + 1 - score, str(low + 1): score - low}
        return {
            label: math.log(self.mass * shares[label]) if shares.get(label) else _UNLIKELY
            for label in "12345"
        }


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: ScoringServer

    def setup(self) -> None:
        super().setup()
        self.has_asked = False

    def handle(self) -> None:
        with suppress(ConnectionError):  # The client is gone, or was killed.
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        fake = self.fake
        if self.path == "/v1/models":
            self._reply(200, {"data": [{"id": each} for each in fake.models]})
        elif self.path == "/running":
            running = [{"model": fake.loaded, "state": "ready", "cmd": _COMMAND}]
            self._reply(200, {"running": running if fake.loaded else []})
        else:
            self._reply(404, "404 page not found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake = self.fake
        if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
            self._reply(401, {"error": "unauthorized: invalid or missing API key"})
        elif self.path == "/v1/chat/completions":
            if not self.has_asked:
                fake.connections += 1
            self.has_asked = True
            reply = fake.chat(body)
            if reply is None:
                self.close_connection = True
                self.connection.close()
            else:
                self._reply(*reply)
        elif self.path.startswith("/upstream/") and fake.has_tokenizer:
            text, model = body["content"], self.path.split("/")[2]
            is_split = {text, f"{model} {text}"} & set(fake.two_tokens)
            pieces = [text[:1], text[1:]] if is_split else [text]
            self._reply(200, {"tokens": [_TOKENS.get(each, 1) for each in pieces]})
        else:
            self._reply(404, "404 page not found")

    def _reply(self, status: int, document: Any) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for place in range(len(content)) if document is _DRIP else ():
            self.wfile.write(content[place : place + 1])
            time.sleep(0.1)
        if document is not _DRIP:
            self.wfile.write(content)


_DRIP = " " * 100
"""Comes little by little, for ten seconds."""
_COMMAND = "llama-server --model model.gguf --api-key s3cret --port 5800"


def planted(image: str) -> float:
    """A score of an image that anybody can work out from its sha256: 1 to 5."""
    return 1 + 4 * int(image[:8], 16) / 0xFFFFFFFF


def _images(body: dict[str, Any]) -> tuple[str, ...]:
    parts = body["messages"][-1]["content"]
    uris = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    contents = [base64.b64decode(uri.partition(",")[2]) for uri in uris]
    return tuple(hashlib.sha256(content).hexdigest() for content in contents)


def _wanted(body: dict[str, Any]) -> int:
    root = body["grammar"].partition("\n")[0]
    return int(root.count("label"))


def _most_likely(logprobs: Mapping[str, float]) -> str:
    return max(logprobs, key=lambda label: logprobs[label])


def _token(logprobs: Mapping[str, float], said: str) -> dict[str, Any]:
    shown = [
        {"id": _TOKENS[text], "token": text, "bytes": [*text.encode()], "logprob": logprob}
        for text, logprob in sorted(logprobs.items(), key=lambda each: -each[1])
    ]
    others = [{"id": 1, "token": " The", "bytes": [*b" The"], "logprob": -2.5}]
    own = {"id": _TOKENS[said], "token": said, "bytes": [*said.encode()], "logprob": -1.0}
    return own | {"top_logprobs": shown + others}


def _spoil(choice: dict[str, Any], fault: str | None) -> None:
    tokens = choice["logprobs"]["content"]
    if fault == "cut":
        choice["finish_reason"] = None
    elif fault == "empty":
        choice["message"]["content"] = ""
        choice["finish_reason"] = "stop"
    elif fault == "no_logprobs":
        del choice["logprobs"]
    elif fault == "no_label":
        for token in tokens:
            token["top_logprobs"] = [{"id": 1, "token": " The", "logprob": -0.1}]
    elif fault == "infinite":
        for each in tokens[0]["top_logprobs"]:
            each["logprob"] = -math.inf
    elif fault == "truncated":
        tokens.pop()
    elif fault in ("invalid_answer", "out_of_range"):
        said = "The" if fault == "invalid_answer" else "7"
        choice["message"]["content"] = said
        for token in tokens:
            token["token"] = said
