"""Verify, quarantine and prune."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from in_pod.download.contract import BAD_DATA, NO_ACCESS, TRANSIENT
from tests.fakes import hubs
from tests.in_pod.download.limits import tmpfs
from tests.in_pod.download.process import run
from tests.in_pod.download.volume import Source, leftovers

MIB = 1 << 20


@pytest.fixture
def filled(source: Source, models: Path) -> Iterator[hubs.Hub]:
    """A hub whose files are all on the volume."""
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
        hub.requests.clear()
        yield hub


def flip(blob: Path) -> None:
    """Change one byte and leave size and time as they were."""
    times = blob.stat()
    blob.chmod(0o644)
    with blob.open("r+b") as content:
        content.seek(1000)
        byte = content.read(1)[0]
        content.seek(1000)
        content.write(bytes([byte ^ 1]))
    blob.chmod(0o444)
    os.utime(blob, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_verify_reports_a_flipped_byte_and_changes_nothing(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    assert run(source, models, filled.url, "--verify")[0] == 0
    sha256 = source.sha256("model.gguf")
    flip(models / "blobs" / sha256)
    code, output, error = run(source, models, filled.url, "--verify")
    assert code == BAD_DATA
    assert f"blobs/{sha256}: WRONG" in output
    assert "1 wrong files" in error
    assert filled.requests == []
    assert (models / "blobs" / sha256).exists()


def test_quarantine_replaces_a_wrong_file_and_reports_it(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    sha256 = source.sha256("model.gguf")
    flip(models / "blobs" / sha256)
    code, _, error = run(source, models, filled.url, "--verify", "--quarantine")
    assert code == BAD_DATA
    assert sha256[:12] in error
    assert source.is_published(models)
    assert leftovers(models) == [f"blobs/{sha256}.wrong"]
    assert run(source, models, filled.url, "--verify")[0] == 0


def test_verify_respects_its_rate(source: Source, models: Path, filled: hubs.Hub) -> None:
    started = time.monotonic()
    assert run(source, models, filled.url, "--verify", "--rate-mb-s=3")[0] == 0
    assert time.monotonic() - started > source.size_bytes / 3e6


def test_prune_removes_unused_files_after_the_grace_period(
    source: Source, models: Path, filled: hubs.Hub, tmp_path: Path
) -> None:
    newer = Source(tmp_path / "newer", 100_000, 50_000)
    old = {source.sha256(name) for name in ("model.gguf", "mmproj.gguf")}
    partial = models / "blobs" / f"{'1' * 64}.partial"
    partial.write_bytes(b"x" * 5000)
    with hubs.Hub(newer.files) as hub:
        assert run(newer, models, hub.url)[0] == 0

    def blobs() -> set[str]:
        return {path.name for path in (models / "blobs").iterdir()}

    before = blobs()
    code, output, _ = run(newer, models, filled.url, "--prune", "--dry-run", "--grace-h=0")
    assert (code, blobs()) == (0, before)
    doomed = {line.partition(":")[0] for line in output.splitlines() if "would be removed" in line}
    assert {f"blobs/{sha256}" for sha256 in old} <= doomed
    assert run(newer, models, filled.url, "--prune", "--grace-h=1")[0] == 0
    assert blobs() == before
    for note in (models / ".unneeded").iterdir():
        os.utime(note, (time.time() - 3700, time.time() - 3700))
    code, output, _ = run(newer, models, filled.url, "--prune", "--grace-h=1")
    assert code == 0
    assert "freed" in output
    assert blobs() == before - old - {partial.name}
    assert newer.is_published(models)
    assert list((models / ".unneeded").iterdir()) == []


def test_prune_removes_a_model_that_is_not_in_the_plan(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    source.write_plan({"version": 1, "files": [], "models": []})
    assert run(source, models, filled.url, "--prune", "--grace-h=0")[0] == 0
    assert not (models / "m").is_symlink()
    assert list((models / "blobs").iterdir()) == []
    assert list((models / "sets").iterdir()) == []


def test_a_rollback_within_the_grace_period_needs_no_request(
    source: Source, models: Path, filled: hubs.Hub, tmp_path: Path
) -> None:
    newer = Source(tmp_path / "newer", 100_000, 50_000)
    with hubs.Hub(newer.files) as hub:
        run(newer, models, hub.url)
    assert run(newer, models, filled.url, "--prune", "--grace-h=1")[0] == 0
    assert run(source, models, filled.url)[0] == 0
    assert filled.requests == []
    assert source.is_published(models)


def test_an_earlier_versions_folder_of_links_becomes_a_link(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    (models / "m").unlink()
    (models / "m").mkdir()
    for name in ("model.gguf", "mmproj.gguf"):
        (models / "m" / name).symlink_to(f"../blobs/{source.sha256(name)}")
    assert run(source, models, filled.url)[0] == 0
    assert source.is_published(models)
    assert leftovers(models) == []
    assert filled.requests == []


def test_prune_removes_nothing_that_is_not_the_programs(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    """Beside what it wrote lie other folders, files and links, in its own folders too."""
    for folder in ("m.before", "sets/0123456789abcdef", "blobs/folder"):
        (models / folder).mkdir()
        (models / folder / "notes.txt").write_text("mine")
    for link in ("m.before-2", "m.before/link"):
        (models / link).symlink_to("../elsewhere")
    for file in ("notes.txt", "blobs/notes.txt", "sets/notes.txt"):
        (models / file).write_text("mine")
    before = sorted(models.rglob("*"))
    source.write_plan({"version": 1, "files": [], "models": []})
    assert run(source, models, filled.url, "--prune", "--grace-h=0")[0] == 0
    gone = {path for path in before if not os.path.lexists(path)}
    blobs = {models / "blobs" / source.sha256(name) for name in ("model.gguf", "mmproj.gguf")}
    (ours,) = {path.parent for path in gone if path.name == "model.gguf"} & gone
    assert gone - blobs == {models / "m", ours, ours / "model.gguf", ours / "mmproj.gguf"}


def test_a_wrong_file_stays_published_until_it_is_replaced(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    sha256 = source.sha256("model.gguf")
    flip(models / "blobs" / sha256)
    with hubs.Hub(source.files, hubs.Forbids) as hub:
        code, output, _ = run(source, models, hub.url, "--verify", "--quarantine")
    assert code == NO_ACCESS
    assert f"blobs/{sha256}: WRONG" in output
    assert (models / "m" / "model.gguf").stat().st_size == 3 * MIB + 5


def test_a_wrong_file_is_not_published_again(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    flip(models / "blobs" / source.sha256("model.gguf"))
    (models / "m").unlink()
    (models / "blobs" / source.sha256("mmproj.gguf")).unlink()
    with hubs.Hub(source.files, hubs.HasASickFile) as hub:
        code, output, _ = run(
            source, models, hub.url, "--verify", "--quarantine", "--patience-s=2"
        )
    assert code == TRANSIENT
    assert "mmproj.gguf: complete" in output
    assert not (models / "m").is_symlink()


def test_leftovers_of_a_killed_run_are_removed_before_the_space_check(
    source: Source, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "volume", 5 * MIB) as models, hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
        blob = models / "blobs" / source.sha256("model.gguf")
        blob.with_suffix(".partial").write_bytes(b"x" * (MIB + MIB // 2))
        (models / "blobs" / source.sha256("mmproj.gguf")).unlink()
        (models / "other").write_bytes(b"x" * (MIB // 4))
        code, _, error = run(source, models, hub.url)
        assert (code, error) == (0, "")
        assert source.is_published(models)


def test_a_broken_set_of_links_is_rebuilt(source: Source, models: Path, filled: hubs.Hub) -> None:
    for path in ((models / "m").resolve(), models / "m" / "mmproj.gguf"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert run(source, models, filled.url)[0] == 0
        assert source.is_published(models)
        assert leftovers(models) == []
    assert filled.requests == []


def test_the_grace_period_restarts_after_a_file_was_used_again(
    source: Source, models: Path, filled: hubs.Hub, tmp_path: Path
) -> None:
    newer = Source(tmp_path / "newer", 100_000, 50_000)
    with hubs.Hub(newer.files) as hub:
        assert run(newer, models, hub.url)[0] == 0
        assert run(newer, models, hub.url, "--prune", "--grace-h=1")[0] == 0
        for note in (models / ".unneeded").iterdir():
            os.utime(note, (time.time() - 3700, time.time() - 3700))
        assert run(source, models, hub.url)[0] == 0
        assert run(newer, models, hub.url)[0] == 0
        code, output, _ = run(newer, models, hub.url, "--prune", "--grace-h=1")
    assert code == 0
    assert f"{source.sha256('model.gguf')}: 3.0 MiB, kept for 1.0 h more" in output


def test_a_full_volume_can_be_pruned(source: Source, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "volume", 5 * MIB) as models, hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
        stray = models / "blobs" / ("1" * 64)
        with pytest.raises(OSError, match="No space left"):
            stray.write_bytes(b"x" * 5 * MIB)
        code, _, error = run(source, models, hub.url, "--prune", "--grace-h=0")
        assert (code, error) == (0, "")
        assert not stray.exists()
        assert leftovers(models) == [".unneeded"]
        assert source.is_published(models)
