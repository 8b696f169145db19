"""Three pools of tiny models, each behind a llama-swap of its own."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from llama_swap_config.fit.residency import ONE_RESIDENT, Residents
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.litellm import render_litellm
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore
from ops.machine.ports import RANGE_VARIABLE, free_ports
from tests.declaration.pools import RTX3090, T4, TWO_CARDS
from tests.real.gateway.gateway import Gateway, behind, model, rendered, started
from tests.real.serve.served import skip_without, store_of

HOMES = {"large": (RTX3090, T4), "small": (T4, TWO_CARDS), "only": (TWO_CARDS,)}
RESIDENTS = {TWO_CARDS: Residents(sets=(("small", "only"),))}
"""Pool -> what it keeps loaded together; the others keep one model."""
_PORTS = 10
_LOADED = re.compile(r"general\.name str\s+= tiny-random-(\S+)")
"""What llama-server logs at each load."""


@dataclass(slots=True, kw_only=True)
class ServedPool:
    """A front end that a test kills and starts again at its address."""

    name: str
    folder: Path
    store: LocalStore
    ports: tuple[int, int]
    """The first and the last of its ports, which no other pool has: nothing reserves those of the
    llama-servers that it starts later."""

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(RANGE_VARIABLE, f"{self.ports[0] + 1}-{self.ports[1]}")
            serve.start(
                self.store,
                self.folder,
                front_end="llama-swap",
                port=self.port,
                say=print,
                residents=RESIDENTS.get(self.name, ONE_RESIDENT),
            )

    def kill(self) -> None:
        """End it and its llama-servers at once, like a node that loses its power."""
        running = serve.find(self.folder)
        assert running is not None
        front_end = psutil.Process(running.pid)
        processes = [front_end, *front_end.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    def loads(self) -> Counter[str]:
        """Count the loads of each model since its last start."""
        running = serve.find(self.folder)
        assert running is not None
        counted: Counter[str] | None = None
        # What a llama-server logs arrives a moment after its answer.
        while (
            loads := Counter(_LOADED.findall(running.log.read_text(errors="replace")))
        ) != counted:
            counted = loads
            time.sleep(0.2)
        return loads

    @property
    def is_up(self) -> bool:
        return serve.find(self.folder) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPools:
    """The pools and the gateway in front of them."""

    gateway: Gateway
    pools: Mapping[str, ServedPool]

    def anew(self) -> None:
        """Start each front end again, with nothing loaded."""
        for pool in self.pools.values():
            if pool.is_up:
                pool.kill()
            serve.stop(pool.folder)
            pool.start()

    def loads(self) -> dict[str, dict[str, int]]:
        return {name: dict(pool.loads()) for name, pool in self.pools.items() if pool.is_up}


@contextmanager
def served_pools(consumers: tuple[Consumer, ...], folder: Path) -> Iterator[ServedPools]:
    """Run three front ends and their gateway while the context lasts.

    Args:
        consumers: The consumers; each has a key.
        folder: An empty directory.
    """
    skip_without("llama-swap")
    models = tuple(
        model(name, projector=None, image_max_tokens=None, pools=homes)
        for name, homes in HOMES.items()
    )
    pools = {}
    first_port = free_ports(3 * _PORTS)
    for number, name in enumerate((T4, RTX3090, TWO_CARDS)):
        own = first_port + number * _PORTS
        served = tuple(it for it in models if name in it.pools)
        store = store_of(served, folder / name)
        pools[name] = ServedPool(
            name=name, folder=folder / name, store=store, ports=(own, own + _PORTS)
        )
        pools[name].start()
    try:
        by_name = [
            behind(pool.url, "llama-swap", name=name, residents=RESIDENTS.get(name, ONE_RESIDENT))
            for name, pool in pools.items()
        ]
        locked = {it.model.id: it for pool in pools.values() for it in pool.store.models}
        registry = tuple(locked[name] for name in HOMES)
        first = serve.find(pools[T4].folder)
        assert first is not None
        with started(
            first,
            consumers,
            folder / "gateway",
            config=render_litellm(registry, tuple(by_name)),
            policy=rendered(registry, consumers, tuple(by_name)),
        ) as running:
            yield ServedPools(gateway=running, pools=pools)
    finally:
        for pool in pools.values():
            serve.stop(pool.folder)
