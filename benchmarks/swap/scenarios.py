"""Swaps that something delays: a late start, busy clients, a client that left."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from benchmarks.swap.arms import Arm, FrontEndArm, front_end, limit
from benchmarks.swap.ask import LONG_TOKENS, Answer, Clients, RefusedError
from benchmarks.swap.delay import LateStart
from benchmarks.swap.tiny_store import MODELS
from benchmarks.swap.watch import Swap
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import available

Step = Callable[[str], None]
"""Reports a finished step to a progress bar."""
_Arm = TypeVar("_Arm", bound=Arm)
_CLIENTS = 4
_HEAD_START_S = 0.5
"""Seconds during which only the clients ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """One swap away from a model that clients ask in a closed loop."""

    came_s: float | None
    """Seconds to the other model's first token; None: not within the limit."""
    answered: int
    """The clients' requests until then."""
    failed: int
    """The requests that failed."""


def interleaved(arms: Sequence[Arm], count: int, step: Step) -> dict[str, list[Swap]]:
    """Swap `count` times in each arm, in turn, so that noise hits all alike.

    The first load of an arm is not counted, because it has no old process to stop.
    """
    swaps: dict[str, list[Swap]] = {arm.name: [] for arm in arms}
    for arm in arms:
        arm.swap(MODELS[0])
    for index in range(count):
        for arm in _turned(arms, index):
            swaps[arm.name].append(arm.swap(MODELS[(index + 1) % 2]))
            step(f"{arm.name}: swap {index + 1}")
    return swaps


def late_starts(
    store: LocalStore, folder: Path, delays_s: Sequence[float], count: int, step: Step
) -> dict[float, dict[str, list[Swap]]]:
    """Swap to llama-servers that start late, in a folder of its own."""
    swaps: dict[float, dict[str, list[Swap]]] = {}
    with ExitStack() as stack:
        late = {
            name: stack.enter_context(LateStart(folder / name / "late"))
            for name in (*available(), "limit")
        }
        arms: list[Arm] = [
            stack.enter_context(front_end(name, store, folder / name, late[name].env))
            for name in available()
        ]
        arms.append(stack.enter_context(limit(store, late["limit"].env)))
        target = cycle(MODELS)
        for arm in arms:
            arm.swap(MODELS[1])
        for delay_s in delays_s:
            swaps[delay_s] = {arm.name: [] for arm in arms}
            for late_start in late.values():
                late_start.delay_s = delay_s
            for index in range(count):
                model = next(target)
                for arm in _turned(arms, index):
                    swaps[delay_s][arm.name].append(arm.swap(model))
                    step(f"{arm.name}: {delay_s:g} s late")
    return swaps


def busy(
    arms: Sequence[FrontEndArm], count: int, limit_s: float, step: Step
) -> dict[str, list[Busy]]:
    """Swap while four clients ask the loaded model in a closed loop.

    An arm in which the other model did not answer once is not retried.
    """
    swaps: dict[str, list[Busy]] = {arm.name: [] for arm in arms}
    for _ in range(count):
        for arm in arms:
            if all(swap.came_s is not None for swap in swaps[arm.name]):
                swaps[arm.name].append(_busy_swap(arm, limit_s))
            step(f"{arm.name}: {_CLIENTS} clients at the other model")
    return swaps


def _busy_swap(arm: FrontEndArm, limit_s: float) -> Busy:
    arm.load(MODELS[0])
    with Clients(arm.port, MODELS[0], _CLIENTS) as clients:
        time.sleep(_HEAD_START_S)
        started = time.monotonic()
        came_s = None
        try:
            with Answer(arm.port, MODELS[1], timeout_s=limit_s) as answer:
                came_s = answer.first_token() - started
        except (OSError, RefusedError, http.client.HTTPException):
            came_s = None
        return Busy(came_s=came_s, answered=clients.answered, failed=clients.failed)


def after_disconnect(arms: Sequence[FrontEndArm], count: int, step: Step) -> dict[str, list[Swap]]:
    """Swap right after the only client of the loaded model left in the middle of its stream."""
    swaps: dict[str, list[Swap]] = {arm.name: [] for arm in arms}
    for arm in arms:
        arm.load(MODELS[0])
    for index in range(count):
        for arm in _turned(arms, index):
            with Answer(arm.port, MODELS[index % 2], max_tokens=LONG_TOKENS) as answer:
                answer.first_token()
                time.sleep(0.2)
            swaps[arm.name].append(arm.swap(MODELS[(index + 1) % 2]))
            step(f"{arm.name}: the client left")
    return swaps


def _turned(arms: Sequence[_Arm], index: int) -> list[_Arm]:
    """Return the arms, starting with another one each time."""
    first = index % len(arms)
    return [*arms[first:], *arms[:first]]
