"""Files as people publish them: `ops lock` takes each from its listing, and reads what it is."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config import registry
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import LockedModel, lock_model
from llama_swap_config.model import Model
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header
from ops.hub.local_hub import HubFile, HubHandler, LocalHub
from tests.ops.commands.lock.lock_runs import FIRST, SECOND, VISION, lock, running, surroundings

FOREIGN = "maker/original-GGUF"
PARTS = tuple(f"Q4/Seeing-Q4_K_M-{part:05}-of-00003.gguf" for part in (1, 2, 3))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub without files, for a registry with one model."""
    surroundings(monkeypatch, tmp_path / "headers")
    with running({}, HubHandler, monkeypatch) as hub:
        yield hub


class Publisher:
    """Publishes tiny files under any name, and locks a model of them."""

    def __init__(self, hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hub = hub
        self.lock_path = folder / "models.lock.json"
        self._folder = folder / "published"
        self._monkeypatch = monkeypatch

    def weights(self, name: str, repository: str = VISION.repository) -> None:
        tiny_models.write_weights(self._path(name), Path(name).name)
        self._offer(repository, name)

    def projector(self, name: str, repository: str = VISION.repository) -> None:
        tiny_models.write_projector(self._path(name), Path(name).name)
        self._offer(repository, name)

    def split(self, *names: str, tensors_a_part: int = 9) -> list[Path]:
        """Publish the parts of a split model; one file of it has 25 tensors."""
        whole = self._path("split/whole.gguf")
        tiny_models.write_weights(whole, "split", tensors_a_part=tensors_a_part)
        parts = sorted(whole.parent.glob("*.gguf"))
        for part, name in zip(parts, names, strict=False):
            shutil.copyfile(part, self._path(name))
            self._offer(VISION.repository, name)
        return parts

    def locked(self, **fields: Any) -> LockedModel:
        """Lock the model with these fields."""
        model = self.declare(**fields)
        assert lock(self.lock_path) == 0
        assert lock(self.lock_path, "--check") == 0
        return lock_model(model, read_lock(self.lock_path)[model.id])

    def declare(self, **fields: Any) -> Model:
        model = replace(VISION, **fields)
        self._monkeypatch.setattr(registry, "REGISTRY", (model,))
        return model

    def refused(self, capsys: pytest.CaptureFixture[str], **fields: Any) -> str:
        """Return the one line with which the model is refused."""
        self.declare(**fields)
        capsys.readouterr()
        assert lock(self.lock_path) == 1
        assert not self.lock_path.exists()
        text = capsys.readouterr().err
        assert text.startswith("error: model 'seeing': ")
        assert text.count("\n") == 1
        return text

    def _path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _offer(self, repository: str, name: str) -> None:
        self.hub.files[repository, name] = HubFile.of(self._path(name))


@pytest.fixture
def publisher(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    return Publisher(hub, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("weights", "projector", "fields"),
    {
        "a projector in fp16": ("M-Q4_K_M.gguf", "m-mmproj-fp16.gguf", {}),
        "a projector without a label": (
            "M-Q4_K_M.gguf",
            "mmproj.gguf",
            {"projector_file": "mmproj.gguf"},
        ),
        "a projector without mmproj": (
            "M-Q4_K_M.gguf",
            "vision/NAME-vision-F16.gguf",
            {"projector_file": "vision/NAME-vision-F16.gguf"},
        ),
        "a label in the folder": (
            "Q4_K_M/model.gguf",
            "mmproj-F16.gguf",
            {"file": "Q4_K_M/model.gguf"},
        ),
        "one of one": ("a-Q8_0-00001-of-00001.gguf", "mmproj-F16.gguf", {"quantisation": "Q8_0"}),
        "small letters": ("m.q4_k_m.gguf", "mmproj-F16.gguf", {}),
        "a small label": ("M-Q4_K_M.gguf", "mmproj-F16.gguf", {"quantisation": "q4-k-m"}),
        "dynamic": ("M-UD-Q4_K_XL.gguf", "mmproj-BF16.gguf", {
            "quantisation": "UD-Q4_K_XL", "projector": "BF16",
        }),
        "weighted": ("M.i1-Q4_K_M.gguf", "mmproj-F16.gguf", {"quantisation": "i1-Q4_K_M"}),
        "MXFP4": ("M-MXFP4_MOE.gguf", "mmproj-F16.gguf", {"quantisation": "MXFP4_MOE"}),
        "IQ": ("M-IQ2_XXS.gguf", "mmproj-F16.gguf", {"quantisation": "IQ2_XXS"}),
        "a space, a plus and more": (
            "My Model+ (v1) #2 100%/é 模型 Q4_K_M.gguf",
            "My Model+ (v1) #2 100%/mmproj é F16.gguf",
            {},
        ),
    }.values(),
)  # fmt: skip
def test_a_published_file_is_locked(
    weights: str, projector: str, fields: dict[str, Any], publisher: Publisher
) -> None:
    publisher.weights(weights)
    publisher.projector(projector)
    locked = publisher.locked(**fields)
    assert [file.name for file in locked.files] == [weights, projector]
    assert list(locked.links) == ["model.gguf", "mmproj.gguf"]
    assert locked.weights_header.tensor_types == ("F32",)
    assert locked.weights_header.parts == 1
    assert locked.projector_header is not None


def test_a_composed_name_finds_a_decomposed_file(publisher: Publisher) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.gguf") for form in ("NFC", "NFD"))
    publisher.weights(decomposed)
    publisher.projector("mmproj-F16.gguf")
    assert publisher.locked(file=composed).weights[0].name == decomposed


def test_a_choice_is_explained_in_a_line_for_each_file(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("M-Q4_K_M.gguf")
    publisher.projector("mmproj.gguf")
    publisher.locked(projector_file="mmproj.gguf")
    text = capsys.readouterr().out
    assert "seeing: M-Q4_K_M.gguf (482944 bytes): the only file with Q4_K_M in its name\n" in text
    assert re.search(r"seeing: mmproj\.gguf \(\d+ bytes\): named by projector_file\n", text)


def test_a_projector_of_another_repository_has_its_own_commit(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("M-Q4_K_M.gguf")
    publisher.projector("mmproj-F16.gguf", FOREIGN)
    text = publisher.refused(capsys)
    assert "or projector_repository if the projector is elsewhere" in text
    locked = publisher.locked(projector_repository=FOREIGN)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"mmproj repository {FOREIGN} mmproj commit {FIRST[:16]}" in shown
    assert locked.projector is not None
    assert (locked.projector.repository, locked.projector.revision) == (FOREIGN, FIRST)
    # Other weights keep the projector's commit.
    publisher.weights("M-Q8_0.gguf", "owner/tune")
    publisher.hub.commit = SECOND
    capsys.readouterr()
    locked = publisher.locked(
        projector_repository=FOREIGN, repository="owner/tune", quantisation="Q8_0"
    )
    assert locked.projector is not None
    assert [file.revision for file in locked.files] == [SECOND, FIRST]
    shown = " ".join(capsys.readouterr().out.split())
    assert f"commit {FIRST[:16]} -> {SECOND[:16]}" in shown
    assert "mmproj" not in shown.split("changed")[1]


def test_a_check_names_the_field_that_differs(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("M-Q4_K_M.gguf")
    publisher.projector("mmproj-F16.gguf", FOREIGN)
    publisher.locked(projector_repository=FOREIGN)
    for fields, message in (
        ({"projector_repository": "another/original"}, "projector_repository is 'another/orig"),
        ({}, "repository is 'owner/seeing-GGUF'; expected maker/original-GGUF, as in the lock"),
        ({"file": "other.gguf"}, "file is 'other.gguf'; expected M-Q4_K_M.gguf, as in the lock"),
        (
            {"projector_file": "other.gguf"},
            "projector_file is 'other.gguf'; expected mmproj-F16.gguf",
        ),
    ):
        publisher.declare(**({"projector_repository": FOREIGN} | fields if fields else {}))
        capsys.readouterr()
        assert lock(publisher.lock_path, "--check") == 1
        assert message in capsys.readouterr().out


def test_a_split_model_is_locked_as_one(publisher: Publisher) -> None:
    publisher.split(*PARTS)
    publisher.projector("mmproj-F16.gguf")
    locked = publisher.locked()
    assert tuple(file.name for file in locked.weights) == PARTS
    assert list(locked.links) == [
        "model-00001-of-00003.gguf",
        "model-00002-of-00003.gguf",
        "model-00003-of-00003.gguf",
        "mmproj.gguf",
    ]
    assert locked.weights_link == "model-00001-of-00003.gguf"
    assert [file.header is None for file in locked.weights] == [False, True, True]
    whole = publisher.lock_path.with_name("whole.gguf")
    tiny_models.write_weights(whole, "split")
    assert replace(locked.weights_header, parts=1) == read_file_header(whole, "model")
    assert locked.weights_header.parts == 3
    assert publisher.locked(file=PARTS[0]).weights == locked.weights


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (PARTS[:2], "split.count is 3; expected 2: this is file 1 of 2 with names of one split"),
        (PARTS[1:], "split.count is 3; expected 2: this is file 1 of 2"),
        (("M-Q4_K_M.gguf",), "M-Q4_K_M.gguf: split.count is 3; expected 1: this is file 1 of 1"),
        ((PARTS[1], PARTS[0], PARTS[2]), "00001-of-00003.gguf: split.no is 1; expected 0"),
    ],
    ids=["the last is missing", "the first is missing", "no parts", "swapped"],
)
def test_a_set_that_its_headers_contradict_is_refused(
    names: tuple[str, ...],
    message: str,
    publisher: Publisher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = publisher.split(*PARTS)
    publisher.hub.files.clear()
    for part, name in zip(parts, names, strict=False):
        publisher.hub.files[VISION.repository, name] = HubFile.of(part)
    publisher.projector("mmproj-F16.gguf")
    assert message in publisher.refused(capsys)


def test_a_set_of_whole_files_is_refused(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PARTS:
        publisher.weights(name)
    publisher.projector("mmproj-F16.gguf")
    assert "split.count is 1; expected 3: this is file 1 of 3" in publisher.refused(capsys)


def test_a_hostile_count_of_parts_is_shown_as_harmless_text(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.projector("mmproj-F16.gguf")
    publisher.weights("M-Q4_K_M.gguf")
    path = publisher.hub.files[VISION.repository, "M-Q4_K_M.gguf"].path
    content = path.read_bytes()
    count = content[16:24]
    value = b"\x1b[2J" * 200
    key = (11).to_bytes(8, "little") + b"split.count" + (8).to_bytes(4, "little")
    key += len(value).to_bytes(8, "little") + value
    more = (int.from_bytes(count, "little") + 1).to_bytes(8, "little")
    path.write_bytes(content[:16] + more + key + content[24:] + bytes(64))
    text = publisher.refused(capsys)
    assert "split.count is '\\x1b[2J" in text
    assert text.removesuffix("\n").isprintable()
    assert len(text) < 400


def test_parts_of_two_models_are_refused(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_ = publisher.split(*PARTS, tensors_a_part=9)
    kept = publisher.lock_path.with_name("first.gguf")
    shutil.copyfile(first, kept)
    publisher.split(*PARTS, tensors_a_part=10)
    publisher.hub.files[VISION.repository, PARTS[0]] = HubFile.of(kept)
    publisher.projector("mmproj-F16.gguf")
    assert "split.tensors.count is 25; expected 24" in publisher.refused(capsys)


def test_a_lock_with_another_number_of_parts_is_locked_again(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.split(*PARTS)
    publisher.projector("mmproj-F16.gguf")
    publisher.locked()
    text = publisher.lock_path.read_text()
    document = json.loads(text)
    files = document["models"]["seeing"]["files"]
    extra = {**files[2], "name": "extra.gguf", "sha256": "0" * 64}
    for changed, message in (
        ([*files, extra], f"parts is 4; expected 3, as split.count of {PARTS[0]}"),
        ([*files[:2], *files[3:]], "header.tensor_bytes is 472576; expected at most size_bytes"),
    ):
        document["models"]["seeing"]["files"] = changed
        publisher.lock_path.write_text(json.dumps(document))
        assert lock(publisher.lock_path, "--check") == 1
        assert message in capsys.readouterr().out
        assert lock(publisher.lock_path) == 0
        assert publisher.lock_path.read_text() == text


def test_a_file_of_the_other_role_is_refused_with_its_field(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("M-Q4_K_M.gguf")
    publisher.projector("vision-F16.gguf")
    text = publisher.refused(capsys, file="vision-F16.gguf", projector_file="vision-F16.gguf")
    assert "vision-F16.gguf is a projector (architecture clip); expected a language model" in text
    assert "Name it as projector_file." in text
    text = publisher.refused(capsys, projector_file="M-Q4_K_M.gguf")
    assert "M-Q4_K_M.gguf is a model of architecture qwen3vl; expected a projector" in text
    assert "Name it as file." in text


def test_candidates_are_listed_with_sizes_and_the_field_that_picks(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("A-Q4_K_M.gguf")
    publisher.weights("B-Q4_K_M.gguf")
    publisher.projector("mmproj-F16.gguf")
    text = publisher.refused(capsys)
    assert (
        "A-Q4_K_M.gguf (482944 bytes), B-Q4_K_M.gguf (482944 bytes). Set file to one of them."
        in text
    )
    assert publisher.locked(file="B-Q4_K_M.gguf").weights[0].name == "B-Q4_K_M.gguf"
    # Without the field, the lock keeps its file.
    assert publisher.locked().weights[0].name == "B-Q4_K_M.gguf"
    publisher.hub.commit = SECOND
    assert lock(publisher.lock_path, "--update") == 0
    assert read_lock(publisher.lock_path)["seeing"].files[0].name == "B-Q4_K_M.gguf"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:20_000], "is truncated: "),
        (lambda content: content[:-4096], "is truncated: its tensors end at byte "),
        (
            lambda content: content[:16] + (2**60).to_bytes(8, "little") + content[24:],
            f"has {2**60} keys; expected at most 4096",
        ),
    ],
    ids=["cut in the vocabulary", "cut in the tensors", "hostile"],
)
def test_a_damaged_file_is_one_line_with_the_model(
    spoil: Any, message: str, publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("M-Q4_K_M.gguf")
    publisher.projector("mmproj-F16.gguf")
    path = publisher.hub.files[VISION.repository, "M-Q4_K_M.gguf"].path
    path.write_bytes(spoil(path.read_bytes()))
    assert f"model 'seeing': M-Q4_K_M.gguf {message}" in publisher.refused(capsys)


def test_a_header_of_200_mb_is_one_line_with_the_model(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.weights("M-Q4_K_M.gguf")
    publisher.projector("mmproj-F16.gguf")
    path = publisher.hub.files[VISION.repository, "M-Q4_K_M.gguf"].path
    name, length = b"tokenizer.chat_template", 200 * 10**6
    content = b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + (1).to_bytes(8, "little")
    content += len(name).to_bytes(8, "little") + name + (8).to_bytes(4, "little")
    path.write_bytes(content + length.to_bytes(8, "little"))
    with path.open("ab") as file:
        file.truncate(length + 1000)
    text = publisher.refused(capsys)
    assert "model 'seeing': M-Q4_K_M.gguf has a header of more than 64 MiB" in text
