"""A window against SIGKILL: before and after each write, always followed by a restore."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops.cluster.environment import KubeTarget
from ops.embedded.cluster import EmbeddedCluster
from tests.fakes.immich_queues import FakeImmich, Generation
from tests.real.window.shared_card import SWAP, Card
from tests.real.window.window_process import ML, WHILE_OPEN, Mode, Run


@pytest.fixture
def immich(request: pytest.FixtureRequest) -> Iterator[FakeImmich]:
    generation: Generation = request.param
    with FakeImmich(generation) as fake:
        # One was paused before, by whoever runs Immich: it has to stay so.
        fake.paused["ocr"] = True
        yield fake


@pytest.fixture
def run(cluster: EmbeddedCluster, immich: FakeImmich, tmp_path: Path) -> Run:
    return Run(
        target=KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context),
        log=tmp_path / "log",
        immich_url=immich.url,
    )


def kills(writes: int) -> list[tuple[int, bool]]:
    return [(number, after) for number in range(1, writes + 1) for after in (False, True)]


def writes_of(output: str) -> int:
    writes = re.search(r"^writes: (\d+)$", output, re.MULTILINE)
    assert writes, output
    return int(writes[1])


def assert_as_found(
    card: Card, immich: FakeImmich, before: dict[str, bool], found: tuple[int, int]
) -> None:
    """Only llama-swap's pods, which wait for the card, may follow a moment later."""
    assert card.lease() is None
    assert (card.replicas(ML), card.replicas(SWAP)) == found, card.picture()
    assert card.ready(ML) == 1, card.picture()
    assert immich.paused == before
    card.until(lambda: len(card.pods(SWAP)) == found[1] and not card.ready(SWAP))


@pytest.mark.parametrize(
    ("immich", "found", "writes"),
    [("queues", (1, 1), 14), ("jobs", (2, 0), 18)],
    indirect=["immich"],
    ids=["as declared", "scaled by hand"],
)
def test_a_window_that_is_killed_at_any_write_is_restored(
    card: Card, immich: FakeImmich, run: Run, found: tuple[int, int], writes: int
) -> None:
    before = dict(immich.paused)
    card.scale(ML, found[0])
    card.scale(SWAP, found[1])
    code, output = run.finish()
    assert code == 0, output
    assert_as_found(card, immich, before, found)
    # A write that meets a change by a controller is repeated.
    assert writes_of(output) >= writes
    for number, after in kills(writes):
        code, output = replace(run, kill_at=number, kill_after=after).finish()
        assert code == -9, output
        card.age()
        code, output = replace(run, mode="restore").finish()
        assert code == 0, output
        assert_as_found(card, immich, before, found)


@pytest.mark.parametrize(
    ("mode", "immich", "writes"),
    # One more where it learns that Immich has the older interface.
    [("restore", "queues", 6), ("cronjob", "jobs", 7)],
    indirect=["immich"],
)
def test_a_restore_that_is_killed_at_any_write_is_restored(
    card: Card, immich: FakeImmich, run: Run, mode: Mode, writes: int
) -> None:
    before = dict(immich.paused)
    for number, after in kills(writes):
        # Killed with the card taken and the command running.
        window = replace(run, command=WHILE_OPEN).start()
        card.until(lambda: "running sh" in run.output())
        window.kill()
        window.join()
        card.age(past_deadline=True)
        killed = replace(run, kill_at=number, kill_after=after)
        code, output = replace(killed, mode=mode).finish()
        assert code == -9, output
        card.age(past_deadline=True)
        code, output = replace(run, mode=mode).finish()
        assert code == 0, output
        assert_as_found(card, immich, before, (1, 1))
