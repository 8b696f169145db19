"""The models' states, and what their changes mean: swaps, failed loads, crashes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .contract import ABORTED, FAILURES, MODEL_STATES, OTHER, OUTCOMES
from .failure import failure_class
from .plan import Plan
from .series import Series

_CHAIN_S = 1.0
"""A load that begins so soon after a stop continues it: both are one swap."""
_REASON_S = 2.0
"""The front end logs the reason of a failed load a moment after the state."""
_LOG_CHARS = 16 << 10
_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A load that ended."""

    model: str
    seconds: float
    ended: float
    """Seconds since 1970."""
    outcome: str
    """`ready`, `aborted`, or the class of the failure."""
    waited: int
    """Requests that waited for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A model's state."""

    state: str
    since: float | None
    """Seconds since 1970; None if it changed before the exporter looked."""


@dataclass(slots=True, kw_only=True)
class _Load:
    """A load that has not ended, or whose reason is not known yet."""

    begun: float
    stopped: float | None = None
    waited: int = 0
    log: str = ""


class Swaps:
    """The states of the planned models. Times are of a monotonic clock, in seconds."""

    def __init__(self, plan: Plan, series: Series) -> None:
        """Begin without a state."""
        self._labels = plan.labels
        self._series = series
        self._loads: dict[str, _Load] = {}
        self._last_stop: tuple[float, float] | None = None
        """When the model that stopped last began to stop, and when it had stopped."""
        self._stopping: dict[str, float] = {}
        self.changed = float("-inf")
        """Last change of a state."""
        self.states: dict[str, ModelState] = {}
        self.last: deque[Swap] = deque(maxlen=_KEPT)
        """The newest last."""
        self.forget()
        for model in plan.ids:
            for outcome in OUTCOMES:
                series.add("llama_swap_swaps_total", model, outcome, amount=0)
            for failure in FAILURES:
                series.add("llama_swap_failed_loads_total", model, failure, amount=0)
            series.add("llama_swap_crashes_total", model, amount=0)
            series.begin("llama_swap_swap_seconds", model)

    def forget(self) -> None:
        """Drop every state: the front end does not tell it any more."""
        self._loads.clear()
        self._stopping.clear()
        self._last_stop = None
        unknown = ModelState(state="unknown", since=None)
        self.states = dict.fromkeys(dict.fromkeys(self._labels.values()), unknown)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The models that hold memory."""
        holding = ("starting", "ready", "stopping")
        return tuple(model for model, state in self.states.items() if state.state in holding)

    @property
    def is_loading(self) -> bool:
        """Whether a log line may explain a load."""
        return bool(self._loads)

    def is_ready(self, model: str) -> bool:
        """Whether a model answers."""
        return model in self.states and self.states[model].state == "ready"

    def change(
        self, name: str, state: str, *, waiting: int, now: float, time: float
    ) -> str | None:
        """Note a model's state, and return its id if that changed.

        Args:
            name: The model's name; one that the plan does not name is ignored.
            state: One of `MODEL_STATES`; another one counts as unknown.
            waiting: Requests that wait for it.
            now: Monotonic time.
            time: Seconds since 1970.
        """
        model = self._labels.get(name)
        state = state if state in MODEL_STATES else "unknown"
        if model is None or self.states[model].state == state:
            return None
        was = self.states[model].state
        self.states[model] = ModelState(state=state, since=None if was == "unknown" else time)
        self.changed = now
        if was == "unknown":
            return model
        if state == "starting":
            self._loads[model] = _Load(begun=self._begun(now))
        elif state == "ready":
            load = self._loads.pop(model, None) or _Load(begun=self._begun(now))
            load.waited = waiting
            self._end(model, load, "ready", now=now, time=time)
        elif state == "stopping":
            self._stopping[model] = now
        if state in ("stopped", "sleeping"):
            self._last_stop = (self._stopping.pop(model, now), now)
        if state != "ready" and was == "starting" and model in self._loads:
            self._loads[model].stopped = now
            self._loads[model].waited = waiting
        return model

    def failed(self, name: str, reason: str, *, waiting: int, now: float, time: float) -> None:
        """Note that the front end says why a load failed."""
        model = self._labels.get(name)
        if model is None:
            return
        load = self._loads.pop(model, None) or _Load(begun=now)
        load.waited = max(load.waited, waiting)
        self._end(model, load, failure_class(reason, load.log), now=now, time=time)

    def crashed(self, name: str) -> None:
        """Count a loaded model whose llama-server ended by itself."""
        self._series.add("llama_swap_crashes_total", self._labels.get(name, OTHER))

    def log(self, text: str) -> None:
        """Keep what the llama-servers log while a model is loading."""
        for load in self._loads.values():
            load.log = (load.log + text)[-_LOG_CHARS:]

    def settle(self, *, now: float, time: float) -> None:
        """End the loads whose reason has not come in time."""
        for model, load in tuple(self._loads.items()):
            if load.stopped is not None and now - load.stopped > _REASON_S:
                del self._loads[model]
                self._end(model, load, failure_class("", load.log), now=load.stopped, time=time)

    def _begun(self, now: float) -> float:
        stop, self._last_stop = self._last_stop, None
        return stop[0] if stop is not None and now - stop[1] <= _CHAIN_S else now

    def _end(self, model: str, load: _Load, result: str, *, now: float, time: float) -> None:
        seconds = (load.stopped or now) - load.begun
        if result == "ready":
            self._series.observe("llama_swap_swap_seconds", seconds, model)
        elif result != ABORTED:
            self._series.add("llama_swap_failed_loads_total", model, result)
        outcome = result if result in ("ready", ABORTED) else "failed"
        self._series.add("llama_swap_swaps_total", model, outcome)
        self.last.append(
            Swap(model=model, seconds=seconds, ended=time, outcome=result, waited=load.waited)
        )
