"""A symbolic link that somebody planted on the share leads no program out of the volume."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from in_pod.download import opening
from in_pod.download.contract import NOT_AS_PLANNED
from in_pod.download.errors import DownloadError
from in_pod.download.plan import read_plan
from in_pod.download.volume import blob_target, set_target
from tests.fakes import hubs
from tests.in_pod.download.process import run
from tests.in_pod.download.volume import Source

STRAY = "1" * 64


@pytest.fixture
def outside(source: Source, tmp_path: Path) -> Iterator[Path]:
    """A folder of the operator's, which must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("file", source.sha256("model.gguf"), STRAY, "model.gguf"):
        (folder / name).write_text("mine")
        (folder / name).chmod(0o640)
    before = sorted((path.name, path.lstat().st_mode) for path in folder.iterdir())
    yield folder
    assert sorted((path.name, path.lstat().st_mode) for path in folder.iterdir()) == before
    assert all(path.read_text() == "mine" for path in folder.iterdir())


@pytest.mark.parametrize(
    "place",
    [
        ".lease",
        *("blobs", "sets", ".unneeded"),
        *("blobs/{sha256}", "blobs/{sha256}.partial", "blobs/{sha256}.journal"),
        "blobs/{sha256}.wrong",
        f".unneeded/{STRAY}",
    ],
)
@pytest.mark.parametrize("target", ["file", "new", "folder"])
@pytest.mark.parametrize("arguments", [(), ("--prune", "--grace-h=0")])
def test_a_planted_link_is_named_and_not_followed(
    arguments: tuple[str, ...],
    target: str,
    place: str,
    source: Source,
    models: Path,
    outside: Path,
) -> None:
    models.mkdir(exist_ok=True)
    link = models / place.format(sha256=source.sha256("model.gguf"))
    link.parent.mkdir(exist_ok=True)
    if place != "blobs":
        (models / "blobs").mkdir(exist_ok=True)
        (models / "blobs" / STRAY).touch()
    link.symlink_to(outside if target == "folder" else outside / target)
    with hubs.Hub(source.files) as hub:
        code, output, error = run(source, models, hub.url, *arguments)
    kind = "a folder" if "/" not in place and place != ".lease" else "a file"
    # A prune reads no names of the plan, and a download no notes of unplanned files.
    if place.startswith("blobs/" if arguments else ".unneeded/"):
        assert (code, error) == (0, "")
    else:
        assert code == NOT_AS_PLANNED
        assert error == f"error: {link} is a symbolic link; expected {kind}. Move it away.\n"
    assert link.is_symlink()
    assert "taken over" not in output


def test_a_planted_set_is_replaced_and_not_followed(
    source: Source, models: Path, tmp_path: Path
) -> None:
    links = read_plan(source.plan_path).models["m"]
    folder = models / set_target(links)
    folder.parent.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for link in links:
        (tmp_path / "outside" / link.name).symlink_to(blob_target(link))
    folder.symlink_to(tmp_path / "outside")
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
    assert source.is_published(models)
    assert not folder.is_symlink()
    assert len(list((tmp_path / "outside").iterdir())) == len(links)


def test_verify_reads_no_planted_link(source: Source, models: Path, outside: Path) -> None:
    (models / "blobs").mkdir(parents=True)
    (models / "blobs" / STRAY).symlink_to(outside / "file")
    code, output, _ = run(source, models, "http://127.0.0.1:9", "--verify")
    assert code == 0
    assert f"left alone, as the download program did not write it: 'blobs/{STRAY}'" in output
    assert "hashed 0 files" in output


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT])
def test_only_regular_files_are_opened(flags: int, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (
        ("link", "a symbolic link"),
        ("folder", "a folder"),
        ("pipe", "a device, pipe or socket"),
    ):
        with pytest.raises(DownloadError, match=f"{name} is {kind}; expected a file"):
            opening.open_file(tmp_path / name, flags)
    assert not (tmp_path / "file").exists()
    (tmp_path / "file").touch()
    os.close(opening.open_file(tmp_path / "file", flags))
    assert opening.kind(tmp_path / "file" / "below") == ""
