"""The download program survives SIGKILLs."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from in_pod.download.hub import Hub
from in_pod.download.plan import read_plan
from in_pod.download.pull import pull
from in_pod.download.run import Options
from tests.fakes import hubs
from tests.fakes.forked_program import Program
from tests.in_pod.download import earlier
from tests.in_pod.download.process import environment, options, run
from tests.in_pod.download.volume import Source, leftovers

MIB = 1 << 20
SEED = 20261124


def test_a_hundred_kills_lose_no_written_bytes(tmp_path: Path) -> None:
    """Each run kills itself before or after a write; at most 64 MiB are downloaded twice."""
    source = Source(tmp_path / "source", 2 * MIB + 5, 200_000)
    draw = random.Random(SEED)
    kills = fetched = volume = 0
    with hubs.Hub(source.files, hubs.Brisk) as hub:
        while kills < 100:
            models = tmp_path / f"models-{volume}"
            program = Program(
                name="download",
                arguments=options(source, models),
                log=tmp_path / "log",
                environment=environment(hub.url),
                # The first writes acquire the lease and open the files; the last ones publish.
                # Not before the second, which names the lease's holder: the next run would wait.
                kill_at=draw.randint(3, 47),
                kill_after=draw.random() < 0.5,
            )
            code = program.finish()
            assert code in (0, -signal.SIGKILL), program.log.read_text()
            kills += code == -signal.SIGKILL
            if source.is_published(models):
                assert replace(program, kill_at=None).finish() == 0, program.log.read_text()
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


def test_a_kill_at_any_write_of_a_takeover_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the publication, the old setup loads its models; at most the next run repairs that."""
    source = Source(tmp_path / "source", 100_005, 20_000)
    kills = repairs = 0
    with hubs.Hub(source.files, hubs.IsDown) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for number in range(1, 100):
            for kill_after in (True, False):
                models = tmp_path / f"models-{number}-{kill_after}"
                folder = earlier.fill(source, models / "m")
                (folder / "notes.txt").write_text("mine")
                program = Program(
                    name="download",
                    arguments=options(source, models),
                    log=tmp_path / "log",
                    environment=environment(hub.url),
                    kill_at=number,
                    kill_after=kill_after,
                )
                code = program.finish()
                assert code in (0, -signal.SIGKILL), program.log.read_text()
                kills += code == -signal.SIGKILL
                if not folder.is_symlink() and folder.is_dir():
                    repairs += not earlier.serves(source, folder)
                    _pull_unpublished(source, models)
                    assert earlier.serves(source, folder)
                assert replace(program, kill_at=None).finish() == 0, program.log.read_text()
                assert source.is_published(models)
                assert leftovers(models) == []
                assert {path.name for path in models.iterdir()} == {
                    "blobs",
                    "m",
                    "m.before",
                    "sets",
                }
                kept = [path for path in (models / "m.before").iterdir() if not path.is_symlink()]
                assert [path.name for path in kept] == ["notes.txt"]
                for blob in (models / "blobs").iterdir():
                    assert blob.stat().st_mode & 0o777 == 0o444
            if code == 0:
                break
        assert hub.requests == []
    assert kills > 40
    # The old name of a file is gone between two renames.
    assert repairs > 0


def _pull_unpublished(source: Source, models: Path) -> None:
    pull(
        read_plan(source.plan_path),
        models,
        Hub(),
        publishing=False,
        options=Options(lease_s=0.5),
        report=print,
        say=print,
    )
