"""What the download program does to a volume: kills, full disks, two runs at once, upkeep."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from in_pod import download
from ops.local_hub import LocalHub
from tests import misbehaving_hub as hubs
from tests.volume import Source, leftovers

MIB = 1 << 20
SEED = 20261124
PROGRAM = Path(download.__file__)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source", 3 * MIB + 5, 200_000)


def start(source: Source, models: Path, hub_url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub_url, "no_proxy": "127.0.0.1"}
    return subprocess.Popen(
        [
            *(sys.executable, str(PROGRAM), "--plan", str(source.plan_path)),
            *("--models", str(models), "--connections=4", "--lease-s=3", "--wait-s=0", *arguments),
        ],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(source: Source, models: Path, hub_url: str, *arguments: str) -> tuple[int, str, str]:
    with start(source, models, hub_url, *arguments) as process:
        said, error = process.communicate(timeout=60)
    return process.returncode, said, error


def test_a_hundred_kills_cost_no_byte_that_was_written(tmp_path: Path) -> None:
    """Each run is killed at a random moment; at most 64 MiB come again in all."""
    source = Source(tmp_path / "source", 5 * MIB + 5, 200_000)
    moments = random.Random(SEED)
    kills = fetched = volume = 0
    with hubs.Hub(source.files, hubs.Paced) as hub:
        while kills < 100:
            models = tmp_path / f"models-{volume}"
            with start(source, models, hub.url) as process:
                # By the clock, which hits the start and the end of a run, or by what was sent.
                after_bytes = hub.sent_bytes + moments.randrange(MIB)
                moment = time.monotonic() + moments.uniform(0.05, 0.7)
                by_clock = moments.random() < 0.5
                while process.poll() is None and (
                    time.monotonic() < moment if by_clock else hub.sent_bytes < after_bytes
                ):
                    time.sleep(0.002)
                if process.poll() is None:
                    process.kill()
                    kills += 1
                _, error = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), error
            if source.is_published(models):
                code, _, error = run(source, models, hub.url)
                assert code == 0, error
                assert leftovers(models) == []
                fetched += source.size_bytes
                volume += 1
        code, _, error = run(source, models, hub.url)
        assert code == 0, error
        assert source.is_published(models)
        assert leftovers(models) == []
        fetched += source.size_bytes if models.name == f"models-{volume}" else 0
        again = hub.sent_bytes - fetched
    assert volume >= 3
    assert 0 <= again <= 64 * MIB


def test_on_another_boot_only_synced_bytes_are_believed(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "blobs").mkdir(parents=True)
    plan = download.read_plan(source.plan_path)
    transfer = download.Transfer(plan.files[0], models / "blobs")
    transfer.write(0, memoryview(b"x" * 1000))
    transfer.flush()
    transfer.write(0, memoryview(b"y" * 500))
    there = download.Journal.bytes_of(models / "blobs", plan.files[0])
    monkeypatch.setattr(download, "boot_id", lambda: "0" * 36)
    assert (there, download.Journal.bytes_of(models / "blobs", plan.files[0])) == (1500, 1000)
    transfer.close()


def test_wrong_bytes_of_an_earlier_run_are_found(source: Source, models: Path) -> None:
    (models / "blobs").mkdir(parents=True)
    plan = download.read_plan(source.plan_path)
    transfer = download.Transfer(plan.files[0], models / "blobs")
    transfer.write(0, memoryview(b"x" * 1000))
    transfer.close()
    with hubs.Hub(source.files) as hub:
        code, said, error = run(source, models, hub.url)
    assert (code, error) == (0, "")
    assert "the sha256 is wrong; downloading it once more" in said
    assert source.is_published(models)


@pytest.mark.parametrize("content", [b"", b"segments", b"\xff" * 500])
def test_a_broken_journal_is_not_believed(source: Source, models: Path, content: bytes) -> None:
    (models / "blobs").mkdir(parents=True)
    stem = models / "blobs" / source.sha256("model.gguf")
    stem.with_suffix(".journal").write_bytes(content)
    stem.with_suffix(".partial").write_bytes(b"x" * 5000)
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
    assert source.is_published(models)


def test_sigterm_ends_it_with_what_is_there(source: Source, models: Path) -> None:
    with hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as process:
            while hub.sent_bytes < MIB:
                time.sleep(0.01)
            process.terminate()
            _, error = process.communicate(timeout=20)
        assert process.returncode == download.TRANSIENT
        assert "the next run goes on from here" in error
        assert not (models / ".lease").exists()
        assert run(source, models, hub.url)[0] == 0
    assert source.is_published(models)


# Two runs at once.


def test_the_second_run_leaves_with_its_own_code(source: Source, models: Path) -> None:
    with hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as first:
            while not hub.sent_bytes:
                time.sleep(0.01)
            code, _, error = run(source, models, hub.url)
            assert code == download.BUSY
            assert "writes on the volume" in error
            first.communicate(timeout=60)
        assert first.returncode == 0
    assert source.is_published(models)


def test_the_second_run_waits_and_finds_all_there(source: Source, models: Path) -> None:
    with hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as first:
            while not hub.sent_bytes:
                time.sleep(0.01)
            assert run(source, models, hub.url, "--wait-s=30")[0] == 0
            first.communicate(timeout=60)
        assert hub.sent_bytes == source.size_bytes + len(source.files)
    assert source.is_published(models)


def record(**changes: object) -> bytes:
    content = {
        "holder": "other (process 1)",
        "boot_id": "of another host",
        "token": "t",
        "beats": 3,
    }
    return json.dumps(content | changes).encode().ljust(512)


def test_a_holder_that_died_on_another_host_is_waited_for_and_replaced(
    source: Source, models: Path
) -> None:
    models.mkdir()
    (models / ".lease").write_bytes(record())
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == download.BUSY
        started = time.monotonic()
        code, said, _ = run(source, models, hub.url, "--wait-s=30", "--lease-s=1")
    assert code == 0
    assert time.monotonic() - started > 1
    assert "took over from other (process 1)" in said
    assert leftovers(models) == []


def test_a_holder_that_died_on_this_host_is_replaced_at_once(source: Source, models: Path) -> None:
    models.mkdir()
    (models / ".lease").write_bytes(record(boot_id=download.boot_id()))
    with hubs.Hub(source.files) as hub:
        code, said, _ = run(source, models, hub.url, "--lease-s=3600")
    assert code == 0
    assert "took over from" in said


def test_a_holder_on_another_host_that_lives_is_left_alone(source: Source, models: Path) -> None:
    models.mkdir()
    lease = models / ".lease"
    lease.write_bytes(record())
    with hubs.Hub(source.files) as hub:
        with start(source, models, hub.url, "--wait-s=3", "--lease-s=1") as process:
            beats = 3
            while process.poll() is None:
                beats += 1
                lease.write_bytes(record(beats=beats))
                time.sleep(0.1)
            process.communicate()
        assert process.returncode == download.BUSY
        assert hub.requests == []


def test_a_holder_that_was_paused_writes_nothing_when_it_wakes(models: Path) -> None:
    models.mkdir()
    with download.Lease(models, lease_s=0.3, wait_s=0) as lease:
        (models / ".lease").write_bytes(record())
        time.sleep(0.4)
        with pytest.raises(download.DownloadError) as caught:
            lease.check()
    assert caught.value.code == download.BUSY
    assert (models / ".lease").exists()


# Disks.


@contextlib.contextmanager
def tmpfs(path: Path, size_bytes: int) -> Iterator[Path]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_volume_that_is_too_small_is_said_before_the_first_byte(
    source: Source, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "small", 2 * MIB) as models, hubs.Hub(source.files) as hub:
        code, _, error = run(source, models, hub.url)
        assert hub.requests == []
        assert code == download.NO_SPACE
        assert "MiB needed" in error


def test_a_volume_that_fills_up_meanwhile(source: Source, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 4 * MIB) as models, hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as process:
            while not hub.sent_bytes:
                time.sleep(0.01)
            with contextlib.suppress(OSError):
                (models / "other").write_bytes(b"x" * 3 * MIB)
            _, error = process.communicate(timeout=60)
        assert process.returncode == download.NO_SPACE
        assert "the volume is full" in error
        assert not source.is_published(models)
        (models / "other").unlink()
        assert run(source, models, hub.url)[0] == 0
        assert source.is_published(models)


def test_a_read_only_volume(source: Source, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "volume", 8 * MIB) as models, hubs.Hub(source.files) as hub:
        remount = ["mount", "-o", "remount,ro", str(models)]
        subprocess.run(remount, check=True)
        code, _, error = run(source, models, hub.url)
        assert code == download.NOT_AS_PLANNED
        assert "must be a directory, writable to user" in error


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    name = f"download-test-{os.getpid()}"
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    folder, limit = (
        (v1 / name, "memory.limit_in_bytes")
        if v1.is_dir()
        else (
            v2 / name,
            "memory.max",
        )
    )
    try:
        folder.mkdir()
        (folder / limit).write_text(str(limit_bytes))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"a memory cgroup cannot be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()


def test_it_needs_little_memory_whatever_the_files(tmp_path: Path) -> None:
    source = Source(tmp_path / "source", 400 * MIB, MIB)
    models = tmp_path / "models"
    with memory_cgroup(128 * MIB) as cgroup, LocalHub(source.files) as hub:
        join = f'echo $$ > {cgroup}/cgroup.procs && exec "$@"'
        child = subprocess.Popen(
            [
                *("sh", "-c", join, "sh", sys.executable, str(PROGRAM)),
                *("--plan", str(source.plan_path), "--models", str(models)),
            ],
            env={**os.environ, "HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
        )
        peak_kib = 0
        while child.poll() is None:
            # Not ru_maxrss: that of a child starts with what its parent had.
            status = Path(f"/proc/{child.pid}/status").read_text()
            if line := next((each for each in status.splitlines() if "VmHWM" in each), ""):
                peak_kib = max(peak_kib, int(line.split()[1]))
            time.sleep(0.02)
        assert child.returncode == 0
        assert 0 < peak_kib <= 64 * 1024
    assert source.is_published(models)


# Upkeep.


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


def test_verify_reports_a_flipped_byte_and_touches_nothing(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    assert run(source, models, filled.url, "--verify")[0] == 0
    sha256 = source.sha256("model.gguf")
    flip(models / "blobs" / sha256)
    code, said, error = run(source, models, filled.url, "--verify")
    assert code == download.BAD_DATA
    assert f"blobs/{sha256}: WRONG" in said
    assert "1 wrong blobs" in error
    assert filled.requests == []
    assert (models / "blobs" / sha256).exists()


def test_quarantine_brings_the_file_anew_and_says_that_it_was_wrong(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    sha256 = source.sha256("model.gguf")
    flip(models / "blobs" / sha256)
    code, _, error = run(source, models, filled.url, "--verify", "--quarantine")
    assert code == download.BAD_DATA
    assert "they were renamed" in error
    assert source.is_published(models)
    assert leftovers(models) == [f"blobs/{sha256}.wrong"]
    assert run(source, models, filled.url, "--verify")[0] == 0


def test_verify_keeps_to_its_rate(source: Source, models: Path, filled: hubs.Hub) -> None:
    started = time.monotonic()
    assert run(source, models, filled.url, "--verify", "--rate-mb-s=3")[0] == 0
    assert time.monotonic() - started > source.size_bytes / 3e6


def test_prune_removes_after_the_grace_period_what_nothing_names(
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
    code, said, _ = run(newer, models, filled.url, "--prune", "--dry-run", "--grace-h=0")
    assert (code, blobs()) == (0, before)
    doomed = {line.partition(":")[0] for line in said.splitlines() if "would be removed" in line}
    assert {f"blobs/{sha256}" for sha256 in old} <= doomed
    assert run(newer, models, filled.url, "--prune", "--grace-h=1")[0] == 0
    assert blobs() == before
    for note in (models / ".unneeded").iterdir():
        os.utime(note, (time.time() - 3700, time.time() - 3700))
    code, said, _ = run(newer, models, filled.url, "--prune", "--grace-h=1")
    assert code == 0
    assert "are freed" in said
    assert blobs() == before - old - {partial.name}
    assert newer.is_published(models)
    assert list((models / ".unneeded").iterdir()) == []


def test_prune_removes_a_model_that_no_plan_names(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    source.write_plan({"version": 1, "files": [], "models": []})
    assert run(source, models, filled.url, "--prune", "--grace-h=0")[0] == 0
    assert not (models / "m").is_symlink()
    assert list((models / "blobs").iterdir()) == []
    assert list((models / "sets").iterdir()) == []


def test_a_rollback_within_the_grace_period_costs_no_request(
    source: Source, models: Path, filled: hubs.Hub, tmp_path: Path
) -> None:
    newer = Source(tmp_path / "newer", 100_000, 50_000)
    with hubs.Hub(newer.files) as hub:
        run(newer, models, hub.url)
    assert run(newer, models, filled.url, "--prune", "--grace-h=1")[0] == 0
    assert run(source, models, filled.url)[0] == 0
    assert filled.requests == []
    assert source.is_published(models)


def test_a_folder_of_someone_else_is_left_alone(
    source: Source, models: Path, filled: hubs.Hub
) -> None:
    (models / "m").unlink()
    (models / "m").mkdir()
    code, _, error = run(source, models, filled.url)
    assert code == download.NOT_AS_PLANNED
    assert "move it away" in error
