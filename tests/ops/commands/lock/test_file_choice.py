"""Choose the files of a repository for what the registry says of a model."""

from __future__ import annotations

import unicodedata

import pytest

from llama_swap_config.lock.locked import Wanted, wanted_projector, wanted_weights
from llama_swap_config.model import Model
from ops.commands.lock.file_choice import MOST_PARTS, choose_file
from ops.errors import OpsError
from ops.hub.files import HubFile

GIB = 2**30


def described(*names: str, sha256: str = "") -> tuple[HubFile, ...]:
    return tuple(
        HubFile(name=name, size_bytes=number * GIB, sha256=sha256 or f"{number:064x}")
        for number, name in enumerate(names, start=1)
    )


def weights(quantisation: str, file: str | None = None) -> Wanted:
    return wanted_weights(
        Model(id="m", repository="owner/m", quantisation=quantisation, file=file)
    )


def projector(quantisation: str, file: str | None = None, repository: str | None = None) -> Wanted:
    model = Model(
        id="m",
        repository="owner/m",
        quantisation="Q8_0",
        projector=quantisation,
        projector_file=file,
        projector_repository=repository,
    )
    wanted = wanted_projector(model)
    assert wanted is not None
    return wanted


def chosen(files: tuple[HubFile, ...], wanted: Wanted, locked: str = "") -> list[str]:
    return [file.name for file in choose_file(files, wanted, locked=locked).files]


@pytest.mark.parametrize(
    ("name", "quantisation", "matches"),
    [
        ("Qwen3VL-4B-Instruct-Q4_K_M.gguf", "Q4_K_M", True),
        ("ggml-model-q4_k_m.gguf", "Q4_K_M", True),
        ("ggml-model-Q4_K_M.gguf", "q4_k_m", True),
        ("model.Q4-K-M.gguf", "Q4_K_M", True),
        ("Q4_K_M/model-Q4_K_M.GGUF", "Q4_K_M", True),
        ("gemma 3+4b (Q4_K_M).gguf", "Q4_K_M", False),
        ("gemma 3+Q4_K_M it.gguf", "Q4_K_M", True),
        ("model-Q2_K_L.gguf", "Q2_K", False),
        ("model-Q6_K_L.gguf", "Q6_K_L", True),
        ("model-Q4_0_4_4.gguf", "Q4_0", False),
        ("model-IQ4_NL.gguf", "Q4_0", False),
        ("model-IQ2_XXS.gguf", "IQ2_XXS", True),
        ("model-BF16.gguf", "F16", False),
        ("model-fp16.gguf", "F16", True),
        ("modelQ8_0.gguf", "Q8_0", False),
        ("mmproj-model-Q8_0.gguf", "Q8_0", False),
        ("model-Q8_0.safetensors", "Q8_0", False),
        ("Qwen3-VL-30B-A3B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", True),
        ("Qwen3-VL-30B-A3B-UD-Q4_K_XL.gguf", "Q4_K_XL", False),
        ("Tune.i1-Q4_K_M.gguf", "i1-Q4_K_M", True),
        ("Tune.i1-Q4_K_M.gguf", "Q4_K_M", False),
        ("gpt-oss-20b-MXFP4.gguf", "mxfp4", True),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4", False),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE", True),
        ("model-NVFP4.gguf", "NVFP4", True),
        ("a-Q8_0-00001-of-00001.gguf", "Q8_0", True),
    ],
)
def test_a_label_matches_whole_words_of_a_file_name(
    name: str, quantisation: str, matches: bool
) -> None:
    files = described(name)
    if matches:
        assert chosen(files, weights(quantisation)) == [name]
        return
    with pytest.raises(OpsError, match="expected a file of owner/m with"):
        choose_file(files, weights(quantisation))


def test_a_choice_says_why() -> None:
    files = described("a-Q8_0.gguf", "b-Q8_0.gguf", "c-F16-00001-of-00002.gguf",
                      "c-F16-00002-of-00002.gguf")  # fmt: skip
    for wanted, locked, text in (
        (weights("F16"), "", "c-F16-00001-of-00002.gguf (2 parts, 7.0 GiB): the only file with "
         "F16 in its name"),
        (weights("Q8_0"), "b-Q8_0.gguf", "b-Q8_0.gguf (2.0 GiB): locked before; one of 2 files "
         "with Q8_0 in its name"),
        (weights("Q8_0", "b-Q8_0.gguf"), "a-Q8_0.gguf", "b-Q8_0.gguf (2.0 GiB): named by file"),
    ):  # fmt: skip
        assert str(choose_file(files, wanted, locked=locked)) == text


def test_several_matches_are_listed_with_sizes_and_the_field_that_picks() -> None:
    files = described("a-Q8_0.gguf", "b-Q8_0.gguf")
    with pytest.raises(OpsError) as caught:
        choose_file(files, weights("Q8_0"))
    assert str(caught.value) == (
        "quantisation is 'Q8_0'; expected one file of owner/m with Q8_0 in its name: "
        "a-Q8_0.gguf (1.0 GiB), b-Q8_0.gguf (2.0 GiB). Set file to one of them"
    )
    with pytest.raises(OpsError, match="expected one file"):
        choose_file(files, weights("Q8_0"), locked="c-Q8_0.gguf")


def test_the_repositorys_files_are_listed_if_none_matches() -> None:
    files = described("a-Q8_0.gguf", "mmproj-a-F16.gguf", "README.md")
    with pytest.raises(OpsError, match=r"in its name: a-Q8_0\.gguf \(1\.0 GiB\)\. Set quantisa"):
        choose_file(files, weights("Q6_K"))
    with pytest.raises(OpsError) as caught:
        choose_file(files, projector("BF16"))
    assert str(caught.value) == (
        "projector is 'BF16'; expected a file of owner/m with mmproj and BF16 in its name: "
        "mmproj-a-F16.gguf (2.0 GiB). Set projector or projector_file, or projector_repository "
        "if the projector is elsewhere"
    )
    with pytest.raises(OpsError, match=r"Q6_K in its name: it has no GGUF file\. Set"):
        choose_file(described("README.md"), weights("Q6_K"))
    many = described(*(f"a-{number}.gguf" for number in range(30)))
    with pytest.raises(OpsError, match=r"a-26\.gguf \(27\.0 GiB\) and 10 more\. Set"):
        choose_file(many, weights("Q6_K"))


def test_without_a_projector_by_name_all_files_are_candidates() -> None:
    files = described("a-Q8_0.gguf", "vision/a-vision-F16.gguf")
    with pytest.raises(OpsError, match=r"a-Q8_0\.gguf .*, vision/a-vision-F16\.gguf \(2\.0 GiB"):
        choose_file(files, projector("F16"))


@pytest.mark.parametrize(
    "name",
    ["m-mmproj-fp16.gguf", "mmproj.gguf", "vision/NAME-vision-F16.gguf", "My Model+é.gguf"],
)
def test_a_name_that_the_operator_gives_decides(name: str) -> None:
    files = described("a-Q8_0.gguf", "mmproj-a-F16.gguf", name)
    assert chosen(files, projector("F16", name), locked="mmproj-a-F16.gguf") == [name]
    assert chosen(files, weights("Q8_0", name)) == [name]


def test_a_name_is_found_composed_or_decomposed_and_exactly_where_both_exist() -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.gguf") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert chosen(described(decomposed), weights("Q8_0", composed)) == [decomposed]
    for name in (composed, decomposed):
        assert chosen(described(composed, decomposed), weights("Q8_0", name)) == [name]


def test_an_unknown_name_is_refused_with_the_files() -> None:
    with pytest.raises(OpsError) as caught:
        choose_file(described("gguf/a-Q8_0.gguf"), weights("Q8_0", "a-Q8_0.gguf"))
    assert str(caught.value) == (
        "file is 'a-Q8_0.gguf'; expected a file of owner/m: gguf/a-Q8_0.gguf (1.0 GiB)"
    )


def test_one_file_with_two_names_is_one_match() -> None:
    files = described("a-Q8_0.gguf", "b-Q8_0.gguf", sha256="0" * 64)
    assert chosen(files, weights("Q8_0")) == ["a-Q8_0.gguf"]


def test_the_parts_of_a_split_model_are_one_candidate_in_their_order() -> None:
    parts = [f"UD-Q4_K_XL/a-UD-Q4_K_XL-{number:05}-of-00012.gguf" for number in range(1, 13)]
    files = described(*reversed(parts), "a-Q8_0.gguf")
    assert chosen(files, weights("UD-Q4_K_XL")) == parts
    assert chosen(files, weights("other", parts[0])) == parts
    with pytest.raises(
        OpsError, match=r"expected a file of owner/m: .*-00001-of-00012\.gguf \(12"
    ):
        choose_file(files, weights("other", parts[4]))
    both = described("a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf", "a-Q8_0.gguf")
    with pytest.raises(OpsError, match=r"a-Q8_0\.gguf \(3\.0 GiB\).*\(2 parts, 3\.0 GiB\)|"
                       r"\(2 parts, 3\.0 GiB\), a-Q8_0\.gguf \(3\.0 GiB\)"):  # fmt: skip
        choose_file(both, weights("Q8_0"))
    assert chosen(both, weights("Q8_0", "a-Q8_0.gguf")) == ["a-Q8_0.gguf"]


def test_too_many_parts_are_refused() -> None:
    total = MOST_PARTS + 1
    parts = described(
        *(f"a-Q8_0-{number:05}-of-{total:05}.gguf" for number in range(1, total + 1))
    )
    with pytest.raises(OpsError, match=f"is split; expected at most {MOST_PARTS} parts"):
        choose_file(parts, weights("Q8_0"))
    two = described("mmproj-F16-00001-of-00002.gguf", "mmproj-F16-00002-of-00002.gguf")
    with pytest.raises(OpsError, match=r"\(2 parts, 3\.0 GiB\) is split; .* at most 1 part$"):
        choose_file(two, projector("F16"))


@pytest.mark.parametrize("name", ["../a-Q8_0.gguf", "/a-Q8_0.gguf", "a\x1b[2J-Q8_0.gguf"])
def test_a_name_that_leaves_the_repository_is_refused_in_harmless_text(name: str) -> None:
    with pytest.raises(OpsError, match="expected a path of printable") as caught:
        choose_file(described(name), weights("Q8_0"))
    assert str(caught.value).isprintable()
    with pytest.raises(OpsError) as caught:
        choose_file(described(name), weights("Q6_K"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("names", "quantisation"),
    [
        (["\x1b[31m\na-Q8_0.gguf", "\ud800-Q8_0.gguf"], "Q8_0"),
        (["\x1b[31m\na-Q8_0.gguf"], "Q8_0"),
        (["\x1b[31m\na-Q8_0.gguf"], "Q6_K"),
        (["\x1b[31m\na-Q8_0-00001-of-00002.gguf"], "Q6_K"),
        ([f"{number:0500}-Q8_0.gguf" for number in range(500)], "Q8_0"),
    ],
)
def test_strange_names_are_shown_in_one_line(names: list[str], quantisation: str) -> None:
    with pytest.raises(OpsError) as caught:
        choose_file(described(*names), weights(quantisation))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 6000
