"""Files and folders of others, anywhere on the volume, are named once and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from in_pod.download.contract import NOT_AS_PLANNED
from in_pod.download.names import foreign, is_temporary
from tests.fakes import hubs
from tests.in_pod.download import earlier
from tests.in_pod.download.planted import inodes, plant
from tests.in_pod.download.process import run
from tests.in_pod.download.volume import Source

NAMED = "left alone, as the download program did not write it: "


@pytest.fixture
def hub(source: Source) -> Iterator[hubs.Hub]:
    with hubs.Hub(source.files) as hub:
        yield hub


@pytest.fixture
def shared(source: Source, models: Path, hub: hubs.Hub) -> dict[Path, int]:
    """A filled volume with foreign files everywhere."""
    assert run(source, models, hub.url)[0] == 0
    assert run(source, models, hub.url, "--prune")[0] == 0
    hub.requests.clear()
    (used,) = (models / "sets").iterdir()
    return plant(models, models / "blobs", models / "sets", used, models / ".unneeded")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--verify",),
        ("--verify", "--quarantine"),
        ("--prune", "--grace-h=0"),
        ("--prune", "--grace-h=0", "--dry-run"),
    ],
)
def test_no_program_touches_or_stumbles_over_foreign_files(
    arguments: tuple[str, ...],
    source: Source,
    models: Path,
    hub: hubs.Hub,
    shared: dict[Path, int],
) -> None:
    code, output, error = run(source, models, hub.url, *arguments)
    assert (code, error, hub.requests) == (0, "", [])
    assert inodes(*shared) == shared
    assert source.is_published(models)
    (line,) = [line for line in output.splitlines() if NAMED in line]
    assert line == (
        f"{NAMED}'#recycle', '.DS_Store', '.Trash-1000', '._model.gguf', '.link.0123abcd' and more"
    )


def test_foreign_files_survive_a_change_of_every_file(
    source: Source, models: Path, shared: dict[Path, int], tmp_path: Path
) -> None:
    newer = Source(tmp_path / "newer", 100_000, 50_000)
    with hubs.Hub(newer.files) as hub:
        assert run(newer, models, hub.url)[0] == 0
        assert run(newer, models, hub.url, "--prune", "--grace-h=0")[0] == 0
    assert inodes(*shared) == shared
    assert newer.is_published(models)
    assert {path.name for path in (models / "blobs").iterdir() if len(path.name) == 64} == {
        newer.sha256(name) for name in ("model.gguf", "mmproj.gguf")
    }


def test_a_take_over_reads_no_snapshots_and_no_folders_of_a_nas(
    source: Source, models: Path, hub: hubs.Hub
) -> None:
    folder = earlier.fill(source, models / "m")
    planted = plant(folder)
    # A file of a snapshot cannot be renamed out of it.
    snapshot = folder / "~snapshot" / "hourly.0"
    snapshot.mkdir(parents=True)
    projector = (folder / earlier.NAMES["mmproj.gguf"]).rename(snapshot / "mmproj.gguf")
    planted |= inodes(snapshot, projector)
    code, output, error = run(source, models, hub.url)
    assert (code, error) == (0, "")
    assert output.count("taken over as blobs/") == 1
    assert hub.count("mmproj.gguf") > 0
    moved = {models / "m.before" / path.relative_to(folder): planted[path] for path in planted}
    assert inodes(*moved) == moved


@pytest.mark.parametrize("name", ["blobs", "sets", ".unneeded"])
def test_a_file_in_place_of_a_folder_is_named(
    name: str, source: Source, models: Path, hub: hubs.Hub
) -> None:
    models.mkdir(exist_ok=True)
    (models / name).write_text("not ours")
    for arguments in ((), ("--prune",), ("--verify",)):
        code, _, error = run(source, models, hub.url, *arguments)
        assert code == NOT_AS_PLANNED
        assert error == f"error: {models / name} is a file; expected a folder. Move it away.\n"
    assert (models / name).read_text() == "not ours"


@pytest.mark.parametrize("suffix", ["", ".partial", ".journal", ".wrong"])
def test_a_folder_in_place_of_a_file_is_named(
    suffix: str, source: Source, models: Path, hub: hubs.Hub
) -> None:
    place = models / "blobs" / f"{source.sha256('model.gguf')}{suffix}"
    place.mkdir(parents=True)
    (place / "inside").write_text("not ours")
    code, _, error = run(source, models, hub.url)
    assert (code, hub.requests) == (NOT_AS_PLANNED, [])
    assert error == f"error: {place} is a folder; expected a file. Move it away.\n"
    assert run(source, models, hub.url, "--prune", "--grace-h=0")[0] == 0
    assert (place / "inside").exists()


def test_a_folder_in_place_of_a_prunes_note_is_named(
    source: Source, models: Path, hub: hubs.Hub
) -> None:
    blob = models / "blobs" / ("1" * 64)
    blob.parent.mkdir(parents=True)
    blob.touch()
    note = models / ".unneeded" / blob.name
    note.mkdir(parents=True)
    code, _, error = run(source, models, hub.url, "--prune", "--grace-h=0")
    assert code == NOT_AS_PLANNED
    assert error == f"error: {note} is a folder; expected a file. Move it away.\n"


def test_something_else_with_a_name_of_ours_is_foreign(models: Path) -> None:
    for folder in ("blobs", "sets", ".unneeded"):
        (models / folder).mkdir(parents=True)
    folders = [models / "blobs" / ("1" * 64), models / ".unneeded" / ("1" * 64), models / "m"]
    for path in folders:
        path.mkdir()
    links = [models / "blobs" / ("2" * 64), models / "sets" / ("3" * 16), models / "n"]
    for path in links:
        path.symlink_to("/etc")
    full = [models / "sets" / ("1" * 16), models / ".unneeded" / "m", models / ".clock.0a1b2c3d"]
    for path in full:
        path.write_text("not ours")
    assert set(foreign(models)) == {*folders, *links, *full}
    assert set(foreign(models, {"m"})) == {*folders[:2], *links, *full}


def test_a_set_with_a_foreign_file_is_not_pruned(
    source: Source, models: Path, shared: dict[Path, int], hub: hubs.Hub
) -> None:
    source.write_plan({"version": 1, "files": [], "models": []})
    assert run(source, models, hub.url, "--prune", "--grace-h=0")[0] == 0
    assert inodes(*shared) == shared
    assert not (models / "m").is_symlink()


def test_only_a_killed_runs_leftovers_are_removed(
    source: Source, models: Path, hub: hubs.Hub
) -> None:
    assert run(source, models, hub.url)[0] == 0
    ours = [models / f".{name}.0a1b2c3d" for name in ("m", "probe", "clock", "n")]
    for link in ours[:2]:
        link.symlink_to(f"sets/{'0' * 16}")
    ours[2].touch()
    ours[3].mkdir()
    (ours[3] / "model.gguf").symlink_to(f"../blobs/{'0' * 64}")
    broken = models / "sets" / ".broken.0a1b2c3d"
    broken.mkdir()
    (broken / "model.gguf").symlink_to(f"../../blobs/{'0' * 64}")
    theirs = [models / name for name in (".a.12345678", ".lease.old", ".clock.0a1b2c3e")]
    for path in theirs:
        path.write_text("not ours")
    (models / ".m.0a1b2c3e").symlink_to("/etc")
    assert all(map(is_temporary, [*ours, broken]))
    assert run(source, models, hub.url)[0] == 0
    assert not any(path.is_symlink() or path.exists() for path in [*ours, broken])
    assert all(path.exists() for path in [*theirs, models / ".m.0a1b2c3e"])


def test_names_of_others_are_shown_as_harmless_text(
    source: Source, models: Path, hub: hubs.Hub
) -> None:
    models.mkdir(exist_ok=True)
    (models / "a\x1b[31m\nerror: b").touch()
    (models / ("c" * 250)).touch()
    _, output, _ = run(source, models, hub.url)
    (line,) = [line for line in output.splitlines() if NAMED in line]
    assert "'a\\x1b[31m\\nerror: b', 'ccc" in line
    assert len(line) < 250
