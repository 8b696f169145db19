"""The download program survives a hundred SIGKILLs."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from pathlib import Path

from tests.fakes import hubs
from tests.fakes.forked_program import Program
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
                kill_at=draw.randint(1, 45),
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
