"""The programs of docs/consumers, run as they stand there."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

from markdown_it import MarkdownIt
from PIL import Image

from ops.machine.litellm import litellm
from tests.conftest import ROOT
from tests.real.gateway.clients.installed import go_program, node_modules, python

PAGES = tuple(sorted((ROOT / "docs" / "consumers").glob("*.md")))
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A fenced block of a page."""

    page: Path
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.stem}: {self.heading}"


def snippets(*languages: str) -> list[Snippet]:
    """Return the blocks of all pages in some languages."""
    found = []
    for page in PAGES:
        heading = ""
        tokens = MarkdownIt("commonmark").parse(page.read_text())
        for before, token in pairwise(tokens):
            if before.type == "heading_open":
                heading = token.content
            if token.type == "fence" and token.info in languages:
                found.append(
                    Snippet(page=page, heading=heading, language=token.info, text=token.content)
                )
    return found


@contextmanager
def started(snippet: Snippet, folder: Path, *, url: str, key: str) -> Iterator[Popen[str]]:
    """Run a snippet while the context lasts, for two minutes at most.

    Args:
        snippet: The program; output and errors are one stream.
        folder: An empty directory, which gets a photo.
        url: The gateway's address.
        key: The consumer's key.
    """
    Image.effect_noise((320, 240), 90).convert("RGB").save(folder / "photo.jpg")
    with Popen(
        _command(snippet, folder),
        cwd=folder,
        env=_environment(url, key),
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
    ) as program:
        timer = threading.Timer(_TIMEOUT_S, program.kill)
        timer.start()
        try:
            yield program
        finally:
            timer.cancel()
            program.kill()


def run(snippet: Snippet, folder: Path, *, url: str, key: str) -> tuple[int, str]:
    """Run a snippet to its end; return its exit code, and what it printed."""
    with started(snippet, folder, url=url, key=key) as program:
        output, _ = program.communicate()
    return program.returncode, output


def _command(snippet: Snippet, folder: Path) -> list[str]:
    if snippet.language == "go":
        return [str(go_program(snippet.text))]
    if snippet.language == "javascript":
        (folder / "node_modules").symlink_to(node_modules())
        (folder / "snippet.mjs").write_text(snippet.text)
        return [str(Path(sys.executable).with_name("node")), "snippet.mjs"]
    (folder / "snippet.py").write_text(snippet.text)
    own = litellm(print).with_name("python") if "import litellm" in snippet.text else python()
    return [str(own), "snippet.py"]


def _environment(url: str, key: str) -> Mapping[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # Otherwise a pipe gets the output at the end.
        "PYTHONUNBUFFERED": "1",
    }
