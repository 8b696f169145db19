"""A real Chromium, controlled over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import websocket


class Page:
    """One tab, and all its events."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=60)
        self._last = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method, and keep the events that arrive meanwhile."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv())
            if message.get("id") == self._last:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 60
        while not self.saw("Page.loadEventFired"):
            assert time.monotonic() < deadline, "the page did not load within 60 s"
            self.call("Runtime.evaluate", expression="0")
            time.sleep(0.05)

    def saw(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of one method."""
        return [event["params"] for event in self.events if event["method"] == method]

    def show(
        self, *, scheme: Literal["light", "dark"], width: int, height: int = 900, scale: float = 1
    ) -> None:
        """Set the colour scheme and the window size."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def evaluate(self, expression: str, context: int | None = None) -> Any:
        """Evaluate an expression in the page, as in its console."""
        where = {} if context is None else {"contextId": context}
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            **where,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def isolated_world(self) -> int:
        """Create a context for scripts that the page's policy does not limit."""
        frame = self.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = self.call("Page.createIsolatedWorld", frameId=frame, worldName="test")
        return int(world["executionContextId"])

    def screenshot(
        self, path: Path, *, clip: tuple[float, float, float, float] | None = None
    ) -> Path:
        """Write a picture of the whole page, or of a part of it."""
        where: dict[str, Any] = {}
        if clip is not None:
            where["clip"] = dict(zip(("x", "y", "width", "height"), clip, strict=True), scale=1)
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True, **where)
        path.write_bytes(base64.b64decode(image["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """Print the page on A4."""
        printed = self.call(
            "Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True
        )
        path.write_bytes(base64.b64decode(printed["data"]))
        return path


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Page]:
    """Start a browser with its own profile, and end it."""
    command = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-extensions",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        "--remote-allow-origins=*",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            page = Page(_tab(profile / "DevToolsActivePort", process))
            try:
                yield page
            finally:
                page.close()
        finally:
            process.terminate()
            process.wait(timeout=30)


def _tab(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        lines = port_file.read_text().split() if port_file.exists() else []
        if len(lines) == 2:
            browser = websocket.create_connection(
                f"ws://127.0.0.1:{lines[0]}{lines[1]}", timeout=60
            )
            try:
                browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
                targets = json.loads(browser.recv())["result"]["targetInfos"]
            finally:
                browser.close()
            for target in targets:
                if target["type"] == "page":
                    return f"ws://127.0.0.1:{lines[0]}/devtools/page/{target['targetId']}"
        time.sleep(0.05)
    raise AssertionError("chromium opened no port for DevTools within 60 s")
