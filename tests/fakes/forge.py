"""A forge in a thread: issue comments and pull requests, page by page, with planted faults."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "home/llama-cpp-infra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Answered in place of the truth; `taken`: after the truth has happened."""

    status: int
    message: str = "planted"
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False


class FakeForge:
    """Users by token, comments of pull request 7, and what was asked."""

    def __init__(self) -> None:
        self.logins = {"t0ken": "plan-bot"}
        self.comments: list[dict[str, Any]] = []
        self.pulls: list[dict[str, Any]] = []
        self.faults: dict[str, list[Fault]] = {}
        """By method and the end of the path, such as `GET /user`; each is answered once."""
        self.page_size = 3
        self.next_page_at = ""
        """Another server that the pages lead to."""
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.forge = self  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def say(self, login: str, body: str) -> None:
        """Let somebody comment."""
        number = len(self.comments) + 100
        self.comments.append({"id": number, "user": {"login": login}, "body": body})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: object) -> None:
        """Be silent."""

    @property
    def forge(self) -> FakeForge:
        forge: FakeForge = self.server.forge  # type: ignore[attr-defined]
        return forge

    def do_GET(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def do_PATCH(self) -> None:
        self._take()

    def _take(self) -> None:
        # A proxy is asked with the whole address.
        path = urlsplit(self.path).path.removeprefix("/api/v1")
        asked = f"{self.command} {path}"
        self.forge.asked.append(asked)
        self.forge.tokens.append(self.headers.get("Authorization", ""))
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"null")
        fault = None
        for what, faults in self.forge.faults.items():
            method, _, end = what.partition(" ")
            if method == self.command and path.endswith(end) and faults:
                fault = faults.pop(0)
        if fault is None or fault.taken:
            status, answer, headers = self._answer(path, body)
        if fault is not None:
            status, answer, headers = fault.status, {"message": fault.message}, fault.headers
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, path: str, body: Any) -> tuple[int, Any, Mapping[str, str]]:
        token = self.headers.get("Authorization", "").removeprefix("token ")
        login = self.forge.logins.get(token)
        if login is None:
            return 401, {"message": f"bad credentials {token}"}, {}
        root = f"/repos/{REPOSITORY}"
        edited = re.fullmatch(rf"{root}/issues/comments/(\d+)", path)
        if path == "/user":
            return 200, {"login": login}, {}
        if path == f"{root}/pulls" and self.command == "GET":
            return self._page(path, self.forge.pulls)
        if path == f"{root}/issues/7/comments" and self.command == "GET":
            return self._page(path, self.forge.comments)
        if path == f"{root}/issues/7/comments":
            self.forge.say(login, body["body"])
            return 201, self.forge.comments[-1], {}
        for comment in self.forge.comments:
            if edited and self.command == "PATCH" and comment["id"] == int(edited.group(1)):
                comment["body"] = body["body"]
                return 200, comment, {}
        return 404, {"message": "Not Found"}, {}

    def _page(self, path: str, all_of_it: list[Any]) -> tuple[int, Any, Mapping[str, str]]:
        number = int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0])
        size = self.forge.page_size
        first = (number - 1) * size
        headers = {}
        if first + size < len(all_of_it):
            base = self.forge.next_page_at or self.forge.url
            headers["Link"] = (
                f'<{base}{path}?page={number + 1}>; rel="next", <{base}{path}?page=9>; rel="last"'
            )
        return 200, all_of_it[first : first + size], headers
