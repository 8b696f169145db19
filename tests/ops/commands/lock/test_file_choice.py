"""Choose the file of a repository for a quantisation."""

from __future__ import annotations

import pytest

from ops.commands.lock.file_choice import choose_file
from ops.errors import OpsError
from ops.hub.files import HubFile


def described(*names: str, sha256: str = "") -> tuple[HubFile, ...]:
    return tuple(
        HubFile(name=name, size_bytes=1, sha256=sha256 or f"{number:064x}")
        for number, name in enumerate(names)
    )


@pytest.mark.parametrize(
    ("name", "quantisation", "matches"),
    [
        ("Qwen3VL-4B-Instruct-Q4_K_M.gguf", "Q4_K_M", True),
        ("ggml-model-q4_k_m.gguf", "Q4_K_M", True),
        ("model.Q4-K-M.gguf", "Q4_K_M", True),
        ("Q4_K_M/model-Q4_K_M.GGUF", "Q4_K_M", True),
        ("model-Q2_K_L.gguf", "Q2_K", False),
        ("model-Q4_0_4_4.gguf", "Q4_0", False),
        ("model-IQ4_NL.gguf", "Q4_0", False),
        ("model-BF16.gguf", "F16", False),
        ("modelQ8_0.gguf", "Q8_0", False),
        ("mmproj-model-Q8_0.gguf", "Q8_0", False),
        ("model-Q8_0.safetensors", "Q8_0", False),
    ],
)
def test_a_quantisation_matches_whole_words_of_a_file_name(
    name: str, quantisation: str, matches: bool
) -> None:
    files = described(name)
    if matches:
        assert choose_file("x", files, "model", quantisation).name == name
        return
    with pytest.raises(OpsError, match="x: no file is weights in"):
        choose_file("x", files, "model", quantisation)


def test_several_matches_are_listed_and_file_or_lock_decides() -> None:
    files = described("a-Q8_0.gguf", "b-Q8_0.gguf")
    with pytest.raises(OpsError, match=r"x: several .*: a-Q8_0\.gguf, b-Q8_0\.gguf\. Use --file"):
        choose_file("x", files, "model", "Q8_0")
    assert choose_file("x", files, "model", "Q8_0", named=("b-Q8_0.gguf",)).name == "b-Q8_0.gguf"
    assert choose_file("x", files, "model", "Q8_0", locked="b-Q8_0.gguf").name == "b-Q8_0.gguf"
    with pytest.raises(OpsError, match=r"x: several"):
        choose_file("x", files, "model", "Q8_0", locked="c-Q8_0.gguf")


def test_the_repositorys_files_are_listed_if_none_matches() -> None:
    files = described("a-Q8_0.gguf", "mmproj-a-F16.gguf", "README.md")
    with pytest.raises(OpsError, match=r"no file is weights in Q6_K; found: a-Q8_0\.gguf$"):
        choose_file("x", files, "model", "Q6_K")
    with pytest.raises(OpsError, match=r"is projector \(mmproj\) in BF16; found: mmproj-a-F"):
        choose_file("x", files, "mmproj", "BF16")


def test_one_file_with_two_names_is_one_match() -> None:
    files = described("a-Q8_0.gguf", "b-Q8_0.gguf", sha256="0" * 64)
    assert choose_file("x", files, "model", "Q8_0").name == "a-Q8_0.gguf"


def test_a_split_model_is_refused_unless_a_whole_file_matches() -> None:
    split = [f"a-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    with pytest.raises(
        OpsError, match=r"a-Q8_0-00001-of-00002\.gguf is one of 2 files of a split"
    ):
        choose_file("x", described(*split), "model", "Q8_0")
    assert (
        choose_file("x", described(*split, "a-Q8_0.gguf"), "model", "Q8_0").name == "a-Q8_0.gguf"
    )


@pytest.mark.parametrize(
    ("names", "quantisation"),
    [
        (["\x1b[31m\na-Q8_0.gguf", "\ud800-Q8_0.gguf"], "Q8_0"),
        (["\x1b[31m\na-Q8_0.gguf"], "Q8_0"),
        (["\x1b[31m\na-Q8_0.gguf"], "Q6_K"),
        (["\x1b[31m\na-Q8_0-00001-of-00002.gguf"], "Q8_0"),
        ([f"{number:0500}-Q8_0.gguf" for number in range(500)], "Q8_0"),
    ],
)
def test_strange_names_are_shown_in_one_line(names: list[str], quantisation: str) -> None:
    with pytest.raises(OpsError) as caught:
        choose_file("x", described(*names), "model", quantisation)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 4500
