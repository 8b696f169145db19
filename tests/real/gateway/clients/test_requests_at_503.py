"""docs/consumers/README.md says how often each client asks an endpoint that refuses."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from in_pod.gateway.refusal import RefusedError
from tests.conftest import ROOT
from tests.docs.test_commands import slug
from tests.real.gateway.clients.snippets import Snippet, run, snippets

README = ROOT / "docs" / "consumers" / "README.md"
ROWS = re.findall(
    r"^\| \[[^]]+\]\(([\w.-]*)#([\w-]+)\)[^|]*\| [^|]+ \| (\d+) \| ([^|]+) \|",
    README.read_text(),
    re.MULTILINE,
)
_NONE = r"(?:max_retries=0|maxRetries: 0|option\.WithMaxRetries\(0\))"
NO_RETRIES = re.compile(rf", {_NONE}|{_NONE},")
RETRY_AFTER_S = 1


def program(page: str, anchor: str) -> Snippet:
    """Return a row's snippet as it would be with the client's default retries."""
    (snippet,) = (
        each
        for each in snippets("python", "javascript", "go")
        if each.page.name == (page or README.name) and slug(each.heading) == anchor
    )
    text, changes = NO_RETRIES.subn("", snippet.text)
    assert changes == 1
    return Snippet(
        page=snippet.page, heading=snippet.heading, language=snippet.language, text=text
    )


@contextmanager
def refusing() -> Iterator[tuple[str, list[float]]]:
    """Refuse every request as the gateway does; yield the address and when each one came."""
    came: list[float] = []
    refusal = RefusedError(503, "card_in_use", "taken", retry_after_s=RETRY_AFTER_S)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(time.monotonic())
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(refusal.status)
            for name, value in refusal.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(refusal.body(self.path))

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("page", "anchor", "requests"),
    # LangChain's seven would take a minute and a half.
    [(page, anchor, int(n)) for page, anchor, n, waits in ROWS if "Retry-After" in waits],
)
def test_each_client_asks_as_often_as_the_table_says(
    page: str, anchor: str, requests: int, tmp_path: Path
) -> None:
    with refusing() as (url, came):
        code, _ = run(program(page, anchor), tmp_path, url=url, key="sk-any")
    assert code != 0
    assert len(came) == requests
    gaps = [later - earlier for earlier, later in pairwise(came)]
    assert min(gaps) >= RETRY_AFTER_S


def test_the_table_has_a_row_for_each_client() -> None:
    assert len(ROWS) == 9
