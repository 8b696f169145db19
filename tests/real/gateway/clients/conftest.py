"""A gateway for all clients: in front of a door, behind which the models are served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest

from llama_swap_config.lock.locked import LockedModel
from tests.declaration.consumers import CONSUMERS
from tests.declaration.registry import REGISTRY
from tests.real.contract.endpoint import Endpoint
from tests.real.gateway.clients.door import Door, door
from tests.real.gateway.gateway import Gateway, gateway_before
from tests.real.serve.served import served, store_of

ALIAS = "photo-judge"
"""What the photo poster asks for; docs/choose-a-model.md moves it from model to model."""
MODELS = (replace(REGISTRY[0], aliases=(ALIAS,)), *REGISTRY[1:])
TENANT = "immich/immich-machine-learning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A gateway whose endpoint can be shut away."""

    gateway: Gateway
    endpoint: Endpoint
    door: Door

    def key(self, consumer: str = "photo-poster") -> str:
        return self.gateway.keys[consumer]

    def unload(self) -> None:
        """Let the next request load its model."""
        for model in self.endpoint.residents():
            self.endpoint.unload(model)


@pytest.fixture(scope="package")
def shared_ground(
    locked: tuple[LockedModel, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("clients")
    with ExitStack() as stack:
        endpoint = stack.enter_context(served(MODELS, folder / "served", "llama-server"))
        address = urlsplit(endpoint.url)
        assert address.hostname
        assert address.port
        opened = stack.enter_context(door(address.hostname, address.port))
        opened.open()
        started = stack.enter_context(
            gateway_before(
                replace(endpoint, url=f"http://127.0.0.1:{opened.port}"),
                store_of(MODELS, folder / "locked").models,
                # Otherwise a test waits a minute for the model of the one before.
                tuple(replace(consumer, protected_s=0) for consumer in CONSUMERS),
                folder,
                tenants=(TENANT,),
            )
        )
        yield Ground(gateway=started, endpoint=Endpoint(served=endpoint), door=opened)


@pytest.fixture
def ground(shared_ground: Ground) -> Ground:
    """The gateway with an open door."""
    shared_ground.door.open()
    return shared_ground
