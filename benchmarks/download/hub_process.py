"""A hub in its own process, as fast as loopback allows or limited in MB/s per connection.

GET /sent returns the number of bytes sent. As a program it prints its address and serves until
its standard input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from ops.hub.local_hub import HubFile, HubHandler, LocalHub
from ops.machine.checkout import ROOT

REPOSITORY = "bench/weights"
_PIECE_BYTES = 1 << 20


class _Handler(HubHandler):
    """Limits the rate, counts bytes, and flips one byte on request."""

    server: _Hub

    def answer(self, *, body: bool) -> None:
        if self.path == "/sent":
            text = str(self.server.sent_bytes).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        super().answer(body=body)

    def send_bytes(self, file: HubFile, first: int, end: int) -> None:
        self.wfile.flush()
        started, offset = time.monotonic(), first
        with file.path.open("rb") as content:
            if self.server.flips and end - first > 1:
                byte = os.pread(content.fileno(), 1, offset)[0] ^ 1
                self.connection.sendall(bytes([byte]))
                offset += 1
            while offset < end:
                count = min(_PIECE_BYTES, end - offset)
                sent = os.sendfile(self.connection.fileno(), content.fileno(), offset, count)
                if sent == 0:
                    return
                offset += sent
                with self.server.lock:
                    self.server.sent_bytes += sent
                if self.server.rate_mb_s:
                    due = (offset - first) / 1e6 / self.server.rate_mb_s
                    time.sleep(max(0.0, due - (time.monotonic() - started)))


class _Hub(LocalHub):
    def __init__(
        self, files: dict[tuple[str, str], HubFile], rate_mb_s: float, flips: bool
    ) -> None:
        super().__init__(files, _Handler)
        self.rate_mb_s = rate_mb_s
        self.flips = flips
        self.sent_bytes = 0
        self.lock = threading.Lock()


class HubProcess:
    """The hub's process, as a benchmark sees it."""

    def __init__(self, url: str) -> None:
        """Connect to it."""
        self.url = url

    def sent_bytes(self) -> int:
        """Return the bytes of files that it has sent."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/sent", timeout=10) as response:
            return int(response.read())


@contextlib.contextmanager
def serving(folder: Path, *, rate_mb_s: float = 0, flips: bool = False) -> Iterator[HubProcess]:
    """Serve the files of a folder as one repository.

    Args:
        folder: The files; `<name>.sha256` beside each contains its hash.
        rate_mb_s: Megabytes per second and connection (default: no limit).
        flips: Whether the first byte of every answer is wrong.
    """
    words = [
        sys.executable,
        "-m",
        "benchmarks.download.hub_process",
        str(folder),
        "--rate-mb-s",
        str(rate_mb_s),
    ]
    process = subprocess.Popen(
        [*words, *(["--flips"] if flips else [])],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield HubProcess(process.stdout.readline().strip())
        process.stdin.close()


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate-mb-s", type=float, default=0)
    parser.add_argument("--flips", action="store_true")
    options = parser.parse_args()
    files = {
        (REPOSITORY, path.name): HubFile(
            path=path, sha256=path.with_name(f"{path.name}.sha256").read_text()
        )
        for path in options.folder.glob("*.gguf")
    }
    with _Hub(files, options.rate_mb_s, options.flips) as hub:
        print(hub.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
