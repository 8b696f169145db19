"""An Immich with five photos, and a run about them that publishes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.commands.bench.publish.picks import Pick
from ops.commands.bench.publish.planning import Plan, plan
from ops.commands.bench.publish.record import Target
from ops.commands.bench.publish.to_immich import publish
from ops.commands.bench.publish.undo import choose, undo
from ops.errors import OpsError
from ops.immich.api import Immich
from ops.immich.http import ImmichHttp
from tests.fakes.immich_server import KEY, FakeAsset, FakeImmich, Fault

VERSIONS = [(2, 2, 3), (2, 7, 5), (3, 0, 2), (3, 2, 2)]
MODEL = "qwen3vl-8b"
RATINGS = (None, 4, None, -1, None)
SCORES = (4.6, 4.4, 3.2, 2.5, 1.1)


class World:
    """An Immich with five photos, and a run about them."""

    def __init__(self, server: FakeImmich, run_dir: Path) -> None:
        self.server = server
        self.run_dir = run_dir
        self.assets = [
            FakeAsset(f"{n}.jpg", b"", rating=rating) for n, rating in enumerate(RATINGS)
        ]
        self.album = server.add_album("Trip", *self.assets)
        self.picks = tuple(
            Pick(asset_id=asset.id, name=asset.name, score=score)
            for asset, score in zip(self.assets, SCORES, strict=True)
        )

    def connect(self) -> Immich:
        return Immich(ImmichHttp(self.server.url, key=KEY, pause=lambda _: None))

    def plan(self, target: Target, **options: Any) -> Plan:
        with self.connect() as immich:
            return plan(immich, self.run_dir, self.picks, target=target, model=MODEL, **options)

    def publish(self, target: Target, **options: Any) -> dict[str, str]:
        with self.connect() as immich:
            planned = plan(immich, self.run_dir, self.picks, target=target, model=MODEL, **options)
            return {entry.name: why for entry, why in publish(immich, self.run_dir, planned)}

    def undo(self, number: int | None = None) -> dict[str, str]:
        record = choose(self.run_dir, number)
        with self.connect() as immich:
            return dict(undo(immich, self.run_dir, record))

    def state(self) -> Any:
        """All that Immich knows, but for ids."""
        return (
            [asset.rating for asset in self.assets],
            [self.server.tags_of(asset) for asset in self.assets],
            sorted(self.server.tags.values()),
            sorted(
                (a.name, tuple(self.server.assets[i].name for i in a.assets if self.has(i)))
                for a in self.server.albums.values()
            ),
        )

    def has(self, asset_id: str) -> bool:
        return asset_id in self.server.assets

    def delete(self, number: int) -> None:
        del self.server.assets[self.assets[number].id]

    def changes(self) -> int:
        return self.server.count(r"^(PUT|DELETE|POST (?!/search))")


TARGETS: tuple[Target, ...] = ("rating", "tag", "album")
WHERE: dict[Target, tuple[str, ...]] = {
    "rating": ("PUT /assets", "PUT /assets", "PUT /assets"),
    "tag": ("PUT /tags$", "PUT /tags/.*/assets"),
    "album": ("POST /albums$", "PUT /albums/.*/assets"),
}


def half_done(world: World, **options: Any) -> None:
    """Publish ratings up to the first photo."""
    interrupt(world, "PUT /assets", skip=1, after=False)
    with pytest.raises(OpsError):
        world.publish("rating", **options)
    world.server.faults = []


def interrupt(world: World, match: str, *, skip: int, after: bool) -> None:
    world.server.faults = [
        Fault(match, 200, times=skip, body=b"[]", after=True),
        Fault(match, 500, times=4, after=after),
    ]
