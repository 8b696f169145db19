"""The download program after kills, on full and failing disks, and with little memory."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from in_pod.download import journal
from in_pod.download.contract import NO_SPACE, NOT_AS_PLANNED, TRANSIENT
from in_pod.download.journal import Journal
from in_pod.download.plan import read_plan
from in_pod.download.transfer import Transfer
from ops.hub.local_hub import LocalHub
from tests.conftest import ROOT
from tests.fakes import hubs
from tests.in_pod.download import earlier
from tests.in_pod.download.limits import disk_that_loses_bytes, memory_cgroup, tmpfs
from tests.in_pod.download.process import PROGRAM, run, start
from tests.in_pod.download.volume import Source

MIB = 1 << 20


def test_after_another_boot_only_synced_bytes_count(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "blobs").mkdir(parents=True)
    plan = read_plan(source.plan_path)
    transfer = Transfer(plan.files[0], models / "blobs")
    transfer.write(0, memoryview(b"x" * 1000))
    transfer.flush()
    transfer.write(0, memoryview(b"y" * 500))
    written = Journal.bytes_of(models / "blobs", plan.files[0])
    monkeypatch.setattr(journal, "boot_id", lambda: "0" * 36)
    assert (written, Journal.bytes_of(models / "blobs", plan.files[0])) == (1500, 1000)
    transfer.close()


def test_wrong_bytes_of_an_earlier_run_are_downloaded_again(source: Source, models: Path) -> None:
    (models / "blobs").mkdir(parents=True)
    plan = read_plan(source.plan_path)
    transfer = Transfer(plan.files[0], models / "blobs")
    transfer.write(0, memoryview(b"x" * 1000))
    transfer.close()
    with hubs.Hub(source.files) as hub:
        code, output, error = run(source, models, hub.url)
    assert (code, error) == (0, "")
    assert "wrong sha256; downloading it again" in output
    assert source.is_published(models)


@pytest.mark.parametrize("content", [b"", b"segments", b"\xff" * 500])
def test_an_invalid_journal_is_ignored(source: Source, models: Path, content: bytes) -> None:
    (models / "blobs").mkdir(parents=True)
    stem = models / "blobs" / source.sha256("model.gguf")
    stem.with_suffix(".journal").write_bytes(content)
    stem.with_suffix(".partial").write_bytes(b"x" * 5000)
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
    assert source.is_published(models)


def test_a_run_resumes_after_sigterm(source: Source, models: Path) -> None:
    with hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as process:
            while hub.sent_bytes < MIB:
                time.sleep(0.01)
            process.terminate()
            _, error = process.communicate(timeout=20)
        assert process.returncode == TRANSIENT
        assert "the next run resumes" in error
        assert not (models / ".lease").exists()
        assert run(source, models, hub.url)[0] == 0
    assert source.is_published(models)


def test_a_small_volume_is_refused_before_the_first_request(
    source: Source, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "small", 2 * MIB) as models, hubs.Hub(source.files) as hub:
        code, _, error = run(source, models, hub.url)
        assert hub.requests == []
        assert code == NO_SPACE
        assert "MiB free; expected" in error


def test_a_run_resumes_after_the_volume_was_full(source: Source, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 4 * MIB) as models, hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as process:
            while not hub.sent_bytes:
                time.sleep(0.01)
            with contextlib.suppress(OSError):
                (models / "other").write_bytes(b"x" * 3 * MIB)
            _, error = process.communicate(timeout=60)
        assert process.returncode == NO_SPACE
        assert "the volume is full" in error
        assert not source.is_published(models)
        (models / "other").unlink()
        assert run(source, models, hub.url)[0] == 0
        assert source.is_published(models)


def test_a_read_only_volume_is_refused(source: Source, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "volume", 8 * MIB) as models, hubs.Hub(source.files) as hub:
        remount = ["mount", "-o", "remount,ro", str(models)]
        subprocess.run(remount, check=True)
        code, _, error = run(source, models, hub.url)
        assert code == NOT_AS_PLANNED
        assert "expected a directory that user" in error


@pytest.mark.parametrize("is_there", [False, True])
def test_memory_stays_below_64_mib(is_there: bool, tmp_path: Path) -> None:
    source = Source(tmp_path / "source", 400 * MIB, MIB)
    models = tmp_path / "models"
    if is_there:
        earlier.fill(source, models / "m")
    with memory_cgroup(128 * MIB) as cgroup, LocalHub(source.files) as hub:
        join = f'echo $$ > {cgroup}/cgroup.procs && exec "$@"'
        child = subprocess.Popen(
            [
                *("sh", "-c", join, "sh", *PROGRAM),
                *("--plan", str(source.plan_path), "--models", str(models)),
            ],
            cwd=ROOT,
            env={**os.environ, "HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
        )
        peak_kib = 0
        while child.poll() is None:
            # Not ru_maxrss: that of a child starts with what its parent had.
            status = Path(f"/proc/{child.pid}/status").read_text()
            if line := next((row for row in status.splitlines() if "VmHWM" in row), ""):
                peak_kib = max(peak_kib, int(line.split()[1]))
            time.sleep(0.02)
        assert child.returncode == 0
        assert 0 < peak_kib <= 64 * 1024
    assert source.is_published(models)


def test_bytes_that_the_disk_lost_are_never_published(tmp_path: Path) -> None:
    """The kernel reports lost pages once and treats them as clean afterwards."""
    source = Source(tmp_path / "source", 60 * MIB, MIB)
    with disk_that_loses_bytes(tmp_path) as disk, LocalHub(source.files) as hub:
        models = disk / "models"
        code, _, error = run(source, models, hub.url)
        assert code == NO_SPACE, error
        assert not source.is_published(models)
        enlarge = ["mount", "-o", "remount,size=400m", str(tmp_path / "below")]
        subprocess.run(enlarge, check=True)
        assert run(source, models, hub.url)[0] == 0
        for blob in (models / "blobs").iterdir():
            with blob.open("rb") as content:
                os.fsync(content.fileno())
                os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert source.is_published(models)


def test_the_journal_rolls_back_lost_bytes(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "blobs").mkdir(parents=True)
    file = read_plan(source.plan_path).files[0]
    transfer = Transfer(file, models / "blobs")
    transfer.write(0, memoryview(b"x" * 1000))
    transfer.flush()
    transfer.write(0, memoryview(b"y" * 500))

    def lose(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", lose)
        with pytest.raises(OSError, match="Input/output error"):
            transfer.flush()
    # The kernel reports it only once; the transfer remembers.
    with pytest.raises(OSError, match="Input/output error"):
        transfer.finish()
    with pytest.raises(OSError, match="Input/output error"):
        transfer.write(0, memoryview(b"z"))
    transfer.close()
    assert Journal.bytes_of(models / "blobs", file) == 1000


def test_a_kill_before_the_rename_leaves_a_writable_partial_file(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    (models / "blobs").mkdir(parents=True)
    file = read_plan(source.plan_path).files[0]
    transfer = Transfer(file, models / "blobs")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            transfer.finish()
    transfer.close()
    (partial,) = (models / "blobs").glob("*.partial")
    assert partial.stat().st_mode & 0o200
