"""What a page shows as the output of a command is what the command prints."""

from __future__ import annotations

from dataclasses import replace
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
