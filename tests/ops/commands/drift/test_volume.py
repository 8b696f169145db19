"""Drift of the models' volume, which others share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ops.commands.drift.declared import Declared
from ops.commands.drift.volume import look
from ops.commands.serve import local_store
from ops.commands.serve.local_store import LocalStore
from ops.errors import OpsError
from tests.in_pod.download.planted import inodes, plant


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return local_store.fill_with_tiny_models(tmp_path / "state", say=print)


@pytest.fixture
def of_store(declared: Declared, store: LocalStore) -> Declared:
    return replace(declared, lock_path=store.lock_path)


def test_foreign_files_are_a_note_and_no_drift(of_store: Declared, store: LocalStore) -> None:
    used = (store.volume / "qwen3vl-4b").resolve()
    planted = plant(store.volume, store.volume / "blobs", used.parent, used)
    found = look(of_store, store.volume)
    assert found.findings == ()
    (note,) = found.notes
    assert note.startswith("left alone, as the download program did not write it: '#recycle', ")
    assert note.endswith(" and more")
    assert inodes(*planted) == planted


def test_a_volume_without_foreign_files_has_no_note(of_store: Declared, store: LocalStore) -> None:
    assert look(of_store, store.volume).notes == ()


def test_a_link_in_place_of_a_file_is_drift(
    of_store: Declared, store: LocalStore, tmp_path: Path
) -> None:
    path = (store.volume / "qwen3vl-4b" / "model.gguf").resolve()
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    (finding,) = look(of_store, store.volume).findings
    assert finding.found.text == "a symbolic link"
    assert finding.remedy == (
        f"move {path} away, then python -m ops weights pull {store.volume} downloads it"
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "is not a directory. Mount the models' volume there."),
        ("empty", "is not a mount point and has no blobs/: nothing was downloaded to it."),
        ("link", r"blobs is a symbolic link; expected a folder. Move it away."),
    ],
)
def test_a_directory_that_is_not_the_volume_is_refused(
    kind: str, message: str, of_store: Declared, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    if kind != "missing":
        volume.mkdir()
    if kind == "link":
        (volume / "blobs").symlink_to(tmp_path)
    with pytest.raises(OpsError, match=message):
        look(of_store, volume)
