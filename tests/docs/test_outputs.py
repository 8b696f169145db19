"""What a page shows as the output of a command is what the command prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from llama_swap_config.errors import ConfigError
from ops.cli import main
from tests.conftest import ROOT
from tests.declaration.registry import REGISTRY

FIT = "--model qwen3vl-8b --context 65536"


def in_one_line(page: Path) -> str:
    return " ".join(page.read_text().split())


def test_the_readme_shows_the_error_of_a_model_that_does_not_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = in_one_line(ROOT / "README.md")
    assert main(["fit", *FIT.split()]) == 1
    assert f"python -m ops fit {FIT} {capsys.readouterr().err.strip()}" in page


def test_the_guide_shows_the_error_of_a_context_below_an_image() -> None:
    (model,) = (model for model in REGISTRY if model.id == "qwen3vl-4b")
    with pytest.raises(ConfigError) as caught:
        replace(model, context=1024)
    assert f"error: {caught.value}" in in_one_line(ROOT / "docs" / "add-a-model.md")


@cache
def printed() -> re.Pattern[str]:
    """Every text of the commands and the programs in pods, with anything for its values."""

    def patterns() -> Iterator[str]:
        for folder in ("ops", "in_pod"):
            for path in (ROOT / folder).rglob("*.py"):
                for node in ast.walk(ast.parse(path.read_text())):
                    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                    texts = [
                        part.value if isinstance(part, ast.Constant) else None for part in parts
                    ]
                    if any(isinstance(text, str) and text.strip() for text in texts):
                        yield "".join(
                            re.escape(text) if isinstance(text, str) else ".*" for text in texts
                        )

    return re.compile("|".join(sorted(set(patterns()))))


PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRESS = [
    pytest.param(line, id=f"{page.name}: {line}")
    for page in PAGES
    for line in re.findall(r"^    +- (.*)$", page.read_text(), re.MULTILINE)
]
HEADINGS = {
    "README.md": "model swap answer text",
    "docs/local.md": "model swap answer text",
    "docs/smoke.md": "model cold (s) warm (s) picture stream schema grammar messages too long",
    "docs/weights.md": "model file size state",
    "docs/drift.md": "declared terraform cluster volume server gateway",
    "docs/gateway.md": "consumer keys since",
}


@pytest.mark.parametrize("line", PROGRESS)
def test_every_line_of_progress_is_one_that_is_printed(line: str) -> None:
    assert printed().fullmatch(line)


def test_a_line_that_nothing_prints_is_found() -> None:
    assert PROGRESS
    assert not printed().fullmatch("everything is as before")


@pytest.mark.parametrize("page", HEADINGS)
def test_the_tables_of_a_page_have_the_columns_that_are_printed(page: str) -> None:
    assert HEADINGS[page] in in_one_line(ROOT / page)
    words = re.split(r" (?!\(s\)|long)", HEADINGS[page])
    assert [word for word in words if not printed().fullmatch(word)] == []
