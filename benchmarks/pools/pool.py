"""A simulated pool: a card, and a front end that loads models and answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from benchmarks.pools.cell import Load

CARD_MIB = 14912
"""Usable on a Tesla T4 (docs/budget.md)."""
MODEL_MIB = (6744, 6349, 4274)
"""An 8B, another one and a 4B of docs/budget.md: two or three of them fit."""
MOST_WAITING = 10
"""llama-swap refuses the eleventh request for a model."""
_LOAD_MIB_PER_S = 1024


class TooManyRequestsError(Exception):
    """The front end refuses the request, like llama-swap with status 429."""


class Pool:
    """Answers requests as llama-swap does, with one slot a model, on the running loop's clock.

    A model stays until another one needs its place; idle ones go first, the least recently used
    before others. A busy model keeps its place, and its new requests overtake those that wait for
    a load. One model loads at a time, in the order of the requests.

    Args:
        name: The pool's name.
        sizes_mib: Model -> its VRAM, of each model that can be asked for.
    """

    def __init__(self, name: str, sizes_mib: Mapping[str, int]) -> None:
        self.name = name
        self.loads: list[Load] = []
        self._sizes_mib = sizes_mib
        self._down = False
        self._used_s: dict[str, float] = {}
        """Model on the card -> when it was last used."""
        self._slots = {model: asyncio.Semaphore(1) for model in sizes_mib}
        self._requests: Counter[str] = Counter()
        self._queue: list[str] = []
        self._loader: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def ask(self, model: str, answer_s: float) -> None:
        """Wait for an answer that takes so many seconds once its turn has come.

        Raises:
            TooManyRequestsError: when ten requests for this model wait already.
            ConnectionError: when the pool is down, or dies meanwhile.
        """
        if self._down:
            raise ConnectionRefusedError(self.name)
        if self._requests[model] >= MOST_WAITING:
            raise TooManyRequestsError(model)
        self._requests[model] += 1
        running = asyncio.ensure_future(self._answer(model, answer_s))
        self._running.add(running)
        try:
            await running
        except asyncio.CancelledError:
            if self._down:
                raise ConnectionResetError(self.name) from None
            raise
        finally:
            self._running.remove(running)
            self._requests[model] -= 1
            self._wake()

    def die(self) -> None:
        """Break every connection, and forget every model."""
        self._down = True
        for task in (*self._running, *filter(None, [self._loader])):
            task.cancel()
        self._loader = None
        self._queue.clear()
        self._used_s.clear()

    def come_back(self) -> None:
        """Accept requests again."""
        self._down = False

    async def _answer(self, model: str, answer_s: float) -> None:
        while model not in self._used_s:
            self._want(model)
            await self._changed.wait()
        async with self._slots[model]:
            await asyncio.sleep(answer_s)
            self._used_s[model] = self._now_s()

    def _want(self, model: str) -> None:
        if model not in self._queue:
            self._queue.append(model)
        if self._loader is None:
            self._loader = asyncio.ensure_future(self._load())

    async def _load(self) -> None:
        while self._queue:
            model = self._queue[0]
            while (victims := self._victims(model)) is None:
                await self._changed.wait()
            if self._requests[model]:
                for victim in victims:
                    del self._used_s[victim]
                beside = tuple(self._used_s)
                self.loads.append(
                    Load(at_s=self._now_s(), pool=self.name, model=model, beside=beside)
                )
                await asyncio.sleep(self._sizes_mib[model] / _LOAD_MIB_PER_S)
                self._used_s[model] = self._now_s()
            self._queue.pop(0)
            self._wake()
        self._loader = None

    def _victims(self, model: str) -> list[str] | None:
        """Return the idle models that must go; None: not enough of them are idle."""
        missing_mib = sum(map(self._sizes_mib.__getitem__, (*self._used_s, model))) - CARD_MIB
        victims = []
        for idle in sorted(self._used_s, key=self._used_s.__getitem__):
            if missing_mib > 0 and not self._requests[idle]:
                victims.append(idle)
                missing_mib -= self._sizes_mib[idle]
        return victims if missing_mib <= 0 else None

    def _wake(self) -> None:
        """Let every waiting task look again."""
        self._changed.set()
        self._changed.clear()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
