"""An endpoint in a thread that behaves like llama-swap, but for the faults that a test plants."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.declaration.registry import REGISTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    body: str
    status: int = 200
    media_type: str = "application/json"


Fault = Callable[["Request"], Reply | None]
"""Answers in the endpoint's place; None: the connection is no longer there to answer on."""


def refuse(status: int, message: str) -> Reply:
    return Reply(status=status, body=json.dumps({"error": message, "src": "llama-swap"}))


def always(reply: Reply) -> Fault:
    return lambda _request: reply


def hang(request: Request) -> None:
    """Say nothing until the test is over."""
    request.fake.over.wait(30)


def reset(request: Request) -> None:
    """Close the connection as a process does that is killed."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.close_connection = True


NO_MMPROJ_HINT = "image input is not supported - hint: you may need to provide the mmproj"
HTML = Reply(body="<html>\n<body>Bad gateway</body></html>", media_type="text/html")
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


ABOUT = {"id": "chatcmpl-1", "created": 1780000000, "model": "model"}
"""What OpenAI's API requires of every answer and every chunk, beside its choices."""


def chat_reply(content: str, **changes: object) -> Reply:
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
    answer = {"object": "chat.completion", "choices": [choice], "usage": USAGE}
    return Reply(body=json.dumps(ABOUT | answer | changes))


def stream_reply(*, reason: str | None = "stop", usage: bool = True, done: bool = True) -> Reply:
    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "finish_reason": finish_reason, "delta": delta}
        return about | {"choices": [choice]}

    about: dict[str, Any] = ABOUT | {"object": "chat.completion.chunk"}
    chunks = [chunk({"role": "assistant", "content": None}), chunk({"content": "one"})]
    if reason:
        chunks.append(chunk({}, reason))
    if usage:
        chunks.append(about | {"choices": [], "usage": USAGE})
    lines = [json.dumps(chunk) for chunk in chunks] + (["[DONE]"] if done else [])
    text = "".join(f"data: {line}\n\n" for line in lines)
    return events(text)


def events(text: str) -> Reply:
    return Reply(body=text, media_type="text/event-stream")


def load_log(*buffers: str) -> Reply:
    """The log of a load whose weights lie in these buffers."""
    lines = [f"load_tensors: {name:>12} model buffer size =  4403.49 MiB" for name in buffers]
    text = "\n".join(["srv    load_model: loading model 'model.gguf'", *lines, ""])
    return Reply(body=text, media_type="text/plain")


@dataclass(slots=True, kw_only=True)
class FakeEndpoint:
    """A running endpoint, and what was asked of it."""

    models: tuple[str, ...] = tuple(model.id for model in REGISTRY)
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """What is asked (`text`, `picture`, ..., or `MODEL text`, or a path) -> what is answered."""
    key: str = ""
    loaded: str | None = None
    front_end: str = "llama-swap"
    """Or `llama-server`, or `gateway`, which says nothing of what is loaded."""
    swaps: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """`MODEL what` for each question that a model got, its load included."""
    paths: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (Request,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False  # Each is waited for at the end.
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.over.set()
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Request(BaseHTTPRequestHandler):
    """One request to the fake."""

    fake: FakeEndpoint
    body: dict[str, Any]

    def loaded_by_another(self, model: str) -> Reply:
        """Answer, while somebody else asks another model."""
        self.fake.loaded = model
        return _good(_what(self.path, self.body), self.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._answer(json.loads(self.rfile.read(length)))

    def _answer(self, body: dict[str, Any]) -> None:
        self.fake.paths.append(self.path)
        self.body = body
        reply = self._reply(body)
        if reply is None:
            return
        content = reply.body.encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", f"{reply.media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reply(self, body: dict[str, Any]) -> Reply | None:
        fake = self.fake
        if self.path in fake.faults:
            return fake.faults[self.path](self)
        if self.path == "/health":
            return Reply(body="OK", media_type="text/plain")
        if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
            return refuse(401, "unauthorized: invalid or missing API key")
        control = self._control(body)
        if control is not None:
            return control
        model = body.get("model")
        if model not in fake.models:
            status = 404 if fake.front_end == "llama-swap" else 400
            return fake.faults.get("unknown", always(refuse(status, "no router")))(self)
        what = _what(self.path, body)
        fake.asked.append(f"{model} {what}")
        for name in (f"{model} load", "load"):
            if name in fake.faults and fake.loaded != model:
                fake.loaded = None
                return fake.faults[name](self)
        if fake.loaded != model:
            fake.loaded = model
            fake.swaps.append(str(model))
        for name in (f"{model} {what}", what):
            if name in fake.faults:
                return fake.faults[name](self)
        return _good(what, body)

    def _control(self, body: dict[str, Any]) -> Reply | None:
        fake = self.fake
        if self.path in ("/v1/models", "/models"):
            entries: list[dict[str, Any]] = [{"id": each} for each in fake.models]
            if fake.front_end != "gateway":
                for entry in entries:
                    value = "loaded" if entry["id"] == fake.loaded else "unloaded"
                    entry["status"] = {"value": value, "args": []}
            return Reply(body=json.dumps({"data": entries}))
        if self.path == "/running" and fake.front_end == "llama-swap":
            entry = {"model": fake.loaded, "state": "ready", "cmd": ""}
            running = [entry] if fake.loaded else []
            return Reply(body=json.dumps({"running": running}))
        if self.path.startswith("/api/models/unload") or self.path == "/models/unload":
            if fake.loaded in (self.path.rpartition("/")[2], body.get("model")):
                fake.loaded = None
            return Reply(body='{"msg": "ok"}')
        if self.path.startswith("/logs/stream/"):
            return fake.faults.get("log", always(load_log("CPU", "CUDA0")))(self)
        return refuse(404, "not found") if self.path == "/running" else None


def _what(path: str, body: dict[str, Any]) -> str:
    if path in ("/completion", "/v1/messages"):
        return {"/completion": "grammar", "/v1/messages": "messages"}[path]
    content = body["messages"][0]["content"]
    if isinstance(content, list):
        return "picture"
    if "stream" in body or "response_format" in body:
        return "stream" if "stream" in body else "schema"
    return "too long" if len(content) > 3072 else "text"


def _good(what: str, body: dict[str, Any]) -> Reply:
    if what == "grammar":
        return Reply(body='{"content": "yes"}')
    if what == "messages":
        parts = [{"type": "text", "text": "Hello."}]
        usage = {"input_tokens": 1, "cache_read_input_tokens": 20, "output_tokens": 2}
        message = {"type": "message", "role": "assistant", "content": parts, "usage": usage}
        return Reply(body=json.dumps(message))
    if what == "picture":
        return chat_reply(_colour(body["messages"][0]["content"]))
    if what == "stream":
        return stream_reply()
    if what == "schema":
        return chat_reply('```json\n{"colour": "blue", "certain": true}\n```')
    if what == "too long":
        error = {"code": 400, "type": "exceed_context_size_error", "n_ctx": 3072}
        return Reply(status=400, body=json.dumps({"error": error | {"message": "it exceeds"}}))
    return chat_reply("Hello.")


def _colour(content: list[dict[str, Any]]) -> str:
    """Look at the picture."""
    import base64
    import io

    from PIL import Image

    uri = content[1]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        pixel = image.convert("RGB").getpixel((0, 0))
    return "Red." if pixel == (255, 0, 0) else "Blue."
