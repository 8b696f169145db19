"""Two runs on one volume: one writes, the other waits, gives up or takes over."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import pytest

from in_pod.download.contract import BUSY, TRANSIENT
from in_pod.download.errors import DownloadError
from in_pod.download.journal import boot_id
from in_pod.download.lease import Lease
from tests.fakes import hubs
from tests.in_pod.download.process import run, start
from tests.in_pod.download.volume import Source, leftovers


def test_the_second_run_exits_with_busy(source: Source, models: Path) -> None:
    with hubs.Hub(source.files, hubs.Paced) as hub:
        with start(source, models, hub.url) as first:
            while not hub.sent_bytes:
                time.sleep(0.01)
            code, _, error = run(source, models, hub.url)
            assert code == BUSY
            assert "uses the volume" in error
            first.communicate(timeout=60)
        assert first.returncode == 0
    assert source.is_published(models)


def test_the_second_run_waits_and_downloads_nothing(source: Source, models: Path) -> None:
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
        "locked": True,
        "token": "t",
        "beats": 3,
    }
    return json.dumps(content | changes).encode().ljust(512)


def test_a_dead_holder_on_another_host_is_replaced_after_lease_s(
    source: Source, models: Path
) -> None:
    models.mkdir()
    (models / ".lease").write_bytes(record())
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == BUSY
        started = time.monotonic()
        code, output, _ = run(source, models, hub.url, "--wait-s=30", "--lease-s=1")
    assert code == 0
    assert time.monotonic() - started > 1
    assert "took over the lease of other (process 1)" in output
    assert leftovers(models) == []


def test_a_dead_holder_on_this_host_is_replaced_at_once(source: Source, models: Path) -> None:
    models.mkdir()
    (models / ".lease").write_bytes(record(boot_id=boot_id()))
    with hubs.Hub(source.files) as hub:
        code, output, _ = run(source, models, hub.url, "--lease-s=3600")
    assert code == 0
    assert "took over the lease of" in output


def test_a_live_holder_on_another_host_keeps_the_lease(source: Source, models: Path) -> None:
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
        assert process.returncode == BUSY
        assert hub.requests == []


def test_a_paused_holder_that_lost_the_lease_writes_nothing(models: Path) -> None:
    models.mkdir()
    with Lease(models, lease_s=0.3, wait_s=0, say=print) as lease:
        (models / ".lease").write_bytes(record())
        time.sleep(0.4)
        with pytest.raises(DownloadError) as caught:
            lease.check()
    assert caught.value.code == BUSY
    assert (models / ".lease").exists()


def test_a_takeover_writes_the_lease_in_place(source: Source, models: Path) -> None:
    """An NFS client sees new content at once, but a new file of the same name later."""
    models.mkdir()
    lease = models / ".lease"
    lease.write_bytes(record())
    before = lease.stat().st_ino
    with Lease(models, lease_s=0.3, wait_s=5, say=print):
        assert lease.stat().st_ino == before
        assert b"of another host" not in lease.read_bytes()


def test_a_holder_without_a_flock_does_not_count_as_dead(source: Source, models: Path) -> None:
    models.mkdir()
    (models / ".lease").write_bytes(record(boot_id=boot_id(), locked=False))
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url, "--lease-s=3600")[0] == BUSY


def test_a_failing_heartbeat_ends_the_run(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.mkdir()
    with Lease(models, lease_s=0.3, wait_s=0, say=print) as lease:

        def fail(_lease: Lease) -> None:
            raise OSError(errno.ESTALE, "Stale file handle")

        monkeypatch.setattr(Lease, "_write", fail)
        time.sleep(0.4)
        with pytest.raises(DownloadError, match=r"heartbeat .*Stale file handle") as error:
            lease.check()
    assert error.value.code == TRANSIENT
