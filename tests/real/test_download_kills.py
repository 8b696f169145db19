"""The download program against SIGKILL, a hundred times."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from tests import misbehaving_hub as hubs
from tests.download_process import run, start
from tests.volume import Source, leftovers

MIB = 1 << 20
SEED = 20261124


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
