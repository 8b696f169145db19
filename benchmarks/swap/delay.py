"""Delay the start of llama-servers behind any front end.

llama-server first reads its chat template. Here the template is a pipe that delivers it after the
delay. A script that sleeps and then execs llama-server would work for llama-swap only, because the
router always starts its own program (/proc/self/exe).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Self

_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: "
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}\n{% endfor %}"
)


class LateStart:
    """Delays each llama-server that gets its environment."""

    def __init__(self, folder: Path) -> None:
        """Make the pipe in a new folder; it is fed while the context lasts."""
        folder.mkdir(parents=True)
        self.delay_s = 0.0
        """Seconds from a start until its template is delivered."""
        self._pipe = folder / "template.jinja"
        self._next = folder / "next"
        self._over = False
        self._thread = threading.Thread(target=self._feed, daemon=True)
        os.mkfifo(self._pipe)

    @property
    def env(self) -> dict[str, str]:
        """The variable that makes a llama-server read the pipe."""
        return {"LLAMA_ARG_CHAT_TEMPLATE_FILE": str(self._pipe)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over = True
        # Opening the pipe for reading releases the waiting writer.
        reader = os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._thread.join()
        os.close(reader)

    def _feed(self) -> None:
        while True:
            writer = os.open(self._pipe, os.O_WRONLY)
            try:
                if self._over:
                    return
                # The next reader gets a new pipe, so that closing this one ends only this reader.
                os.mkfifo(self._next)
                self._next.replace(self._pipe)
                time.sleep(self.delay_s)
                with contextlib.suppress(BrokenPipeError):
                    os.write(writer, _TEMPLATE.encode())
            finally:
                os.close(writer)
