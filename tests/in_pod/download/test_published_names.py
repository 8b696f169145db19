"""Files of any name and split models: downloaded, linked, rolled forward and back."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from in_pod.download.contract import PART_NAME, is_repository_path
from in_pod.download.plan import Link
from in_pod.download.volume import set_name
from ops.hub.local_hub import HubFile
from tests.fakes import hubs
from tests.in_pod.download.process import run
from tests.in_pod.download.volume import REPOSITORY, Source, leftovers

PARTS = [PART_NAME.format(part=part, parts=3) for part in (1, 2, 3)]


@pytest.mark.parametrize(
    "name",
    [
        "My Model+ (v1) #2 100%?/é 模型 & co.gguf",
        unicodedata.normalize("NFC", "é.gguf"),
        unicodedata.normalize("NFD", "é.gguf"),
        ".hidden/-a;b'c\"d.gguf",
    ],
)
def test_a_file_of_any_name_is_downloaded(name: str, source: Source, models: Path) -> None:
    plan = source.plan()
    plan["files"][0]["name"] = name
    source.write_plan(plan)
    files = dict(source.files)
    files[REPOSITORY, name] = files.pop((REPOSITORY, "model.gguf"))
    with hubs.Hub(files) as hub:
        code, _, error = run(source, models, hub.url)
    assert (code, error) == (0, "")
    assert source.is_published(models)


@pytest.mark.parametrize(
    "name",
    [
        *("", "/a", "a//b", "a/", "../a", "a/../b", "./a"),
        *("a\nb", "a\x00", "a\x1b[2J", "\u202ea", "a" * 1025),
    ],
)
def test_a_path_that_could_leave_or_disguise_itself_is_none(name: str) -> None:
    assert not is_repository_path(name)


def test_the_sets_of_whole_files_keep_their_names() -> None:
    """A volume in use has these links: another name would publish every model again."""
    links = (Link(name="model.gguf", sha256="1" * 64), Link(name="mmproj.gguf", sha256="2" * 64))
    assert set_name(links) == "30462a789b08f05e"


class Split(Source):
    """The model of a source in three parts, with the same projector."""

    def __init__(self, folder: Path, whole: Source) -> None:
        folder.mkdir()
        self.files = {}
        content = whole.files[REPOSITORY, "model.gguf"].path.read_bytes()
        third = len(content) // 3
        for index, name in enumerate(PARTS):
            (folder / name).write_bytes(content[index * third : (index + 1) * third])
            self.files[REPOSITORY, name] = HubFile.of(folder / name)
        self.files[REPOSITORY, "mmproj.gguf"] = whole.files[REPOSITORY, "mmproj.gguf"]
        self.size_bytes = sum(file.path.stat().st_size for file in self.files.values())
        self.plan_path = folder / "plan.json"
        self.write_plan(self.plan())


def content(models: Path) -> dict[str, Any]:
    """The names in the model's folder, and everything in `blobs` and `sets`."""
    for path in (models / "m").iterdir():
        assert path.resolve().is_file(), f"{path} is dead"
    return {
        "m": sorted(path.name for path in (models / "m").iterdir()),
        "blobs": sorted(path.name for path in (models / "blobs").iterdir()),
        "sets": len(list((models / "sets").iterdir())),
    }


def test_a_model_moves_between_one_file_and_parts_without_dead_links(
    source: Source, models: Path, tmp_path: Path
) -> None:
    split = Split(tmp_path / "split", source)
    with hubs.Hub(source.files | split.files) as hub:
        for wanted in (source, split, source, split):
            assert run(wanted, models, hub.url)[0] == 0
            assert wanted.is_published(models)
            assert content(models)["m"] == sorted(name for _, name in wanted.files)
        once = sum({file.sha256: file.path.stat().st_size for file in hub.files.values()}.values())
        # One byte of each file tells where it is.
        assert hub.sent_bytes == once + len(hub.files)
        for wanted in (split, source):
            code, _, error = run(wanted, models, hub.url, "--prune", "--grace-h=0")
            assert (code, error) == (0, "")
            # The published link keeps its files until the next plan is published.
            assert content(models)["m"] == ["mmproj.gguf", *PARTS]
        assert run(source, models, hub.url)[0] == 0
        assert run(source, models, hub.url, "--prune", "--grace-h=0")[0] == 0
    assert content(models) == {
        "m": ["mmproj.gguf", "model.gguf"],
        "blobs": sorted(file.sha256 for file in source.files.values()),
        "sets": 1,
    }
    assert leftovers(models) in ([], [".unneeded"])


def test_a_set_is_published_only_when_all_parts_are_complete(
    source: Source, models: Path, tmp_path: Path
) -> None:
    split = Split(tmp_path / "split", source)
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
        hub.files |= {key: file for key, file in split.files.items() if key[1] != PARTS[2]}
        code, _, error = run(split, models, hub.url)
        assert code == 78
        assert "not found at revision" in error
        assert source.is_published(models)
        hub.files |= split.files
        assert run(split, models, hub.url)[0] == 0
    assert split.is_published(models)
    assert run(split, models, "http://127.0.0.1:9", "--verify")[0] == 0
