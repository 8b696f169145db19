"""What an error adds to the engine's words about a name that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.engine.unknown_names import explained
from ops.machine.llama_names import Names, write_names

ARCHITECTURE = "error loading model: unknown model architecture: '{}'"
PROJECTOR = "load_hparams: unknown projector type: {}"
KNOWN = "Known to b11000, b12000: move engine_build and its image there"
UNKNOWN = "Unknown to b9000, b11000, b12000"


@pytest.fixture(autouse=True)
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for build, architectures, projectors in (
        (9000, ("gemma3", "qwen3vl"), ("gemma3", "resampler")),
        (11000, ("gemma3", "gemma4", "qwen3vl"), ("gemma3", "gemma4v", "resampler")),
        (12000, ("gemma3", "gemma4", "qwen3vl"), ("gemma3", "gemma4v", "resampler")),
    ):
        names = Names(sha256="1", architectures=architectures, projectors=projectors)
        write_names(tmp_path, build, names)
    monkeypatch.setattr("ops.engine.unknown_names.ENGINES", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "explanation"),
    [
        (ARCHITECTURE.format("gemma4"), KNOWN),
        (PROJECTOR.format("gemma4v"), KNOWN),
        # It is the type of a projector.
        (ARCHITECTURE.format("gemma4v"), f"{UNKNOWN}; close names: gemma4, gemma3"),
        (PROJECTOR.format("resampled"), f"{UNKNOWN}; close names: resampler"),
        (ARCHITECTURE.format("mamba2"), UNKNOWN),
    ],
)
def test_an_unknown_name_is_explained(words: str, explanation: str) -> None:
    assert explained(words) == f"{words}. {explanation}"


@pytest.mark.parametrize("words", ["", "tensor 'x' is missing", ARCHITECTURE[:-4] + "gemm"])
def test_other_words_stay_alone(words: str) -> None:
    assert explained(words) == words


def test_without_a_list_the_words_stay_alone(lists: Path) -> None:
    for path in lists.iterdir():
        path.unlink()
    assert explained(ARCHITECTURE.format("gemma4")) == ARCHITECTURE.format("gemma4")
