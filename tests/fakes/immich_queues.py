"""Immich's queues in a thread, by the API of now (`queues`) or the one before 2.4 (`jobs`)."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tests.fakes.immich_schemas import check_answer

KEY = "an-administrators-key"
Generation = Literal["queues", "jobs"]


class FakeImmich:
    """Jobs of a paused queue end, one a look; those of a running queue go on."""

    def __init__(
        self, generation: Generation = "queues", *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.generation = generation
        self.paused = dict.fromkeys(("smartSearch", "faceDetection", "ocr", "sidecar"), False)
        self.active = dict.fromkeys(self.paused, 0)
        self.refusal: int | None = None
        self.calls: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(*outer.list(self.path))

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*outer.put(self.path, body))

            def answer(self, status: int, document: Any) -> None:
                if self.headers["x-api-key"] != KEY:
                    status, document = 401, {"message": "Invalid API key"}
                if outer.refusal is not None:
                    status, document = outer.refusal, {"message": "Forbidden"}
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}"
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def list(self, path: str) -> tuple[int, Any]:
        if path != f"/api/{self.generation}":
            return 404, {"message": f"Cannot GET {path}"}
        for name, paused in self.paused.items():
            self.active[name] -= 1 if paused and self.active[name] else 0
        if self.generation == "queues":
            queues = [
                {"name": name, "isPaused": paused, "statistics": self.counts(name)}
                for name, paused in self.paused.items()
            ]
            check_answer(queues, "QueueResponseDto[]", (3, 2, 2))
            return 200, queues
        jobs = {
            name: {
                "queueStatus": {"isPaused": paused, "isActive": bool(self.active[name])},
                "jobCounts": self.counts(name),
            }
            for name, paused in self.paused.items()
        }
        check_answer(list(jobs.values()), "QueueResponseLegacyDto[]", (2, 7, 5))
        return 200, jobs

    def counts(self, name: str) -> dict[str, int]:
        idle = dict.fromkeys(("completed", "delayed", "failed", "paused", "waiting"), 0)
        return idle | {"active": self.active[name]}

    def put(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        start = f"/api/{self.generation}/"
        name = path.removeprefix(start)
        if not path.startswith(start):
            return 404, {"message": f"Cannot PUT {path}"}
        if name not in self.paused:
            issue = {"code": "invalid_value", "path": ["name"], "message": "Invalid option"}
            return 400, {"message": "Validation failed", "errors": [issue]}
        if self.generation == "queues":
            paused = body["isPaused"]
        else:
            paused = {"pause": True, "resume": False}[body["command"]]
        self.calls.append(f"{'pause' if paused else 'resume'} {name}")
        self.paused[name] = paused
        return 200, {}
