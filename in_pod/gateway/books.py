"""The gateway's own books: who uses which model, and until when it is protected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .policy import Consumer


@dataclass(slots=True)
class _Use:
    in_flight: int = 0
    last_begin: float = float("-inf")
    last_end: float = float("-inf")


@dataclass(slots=True, kw_only=True)
class Books:
    """Requests by consumer and model; all times are of one monotonic clock, in seconds."""

    consumers: Mapping[str, Consumer]
    started_at: float
    """When the gateway started, which knows of no earlier request."""
    _uses: defaultdict[tuple[str, str], _Use] = field(
        init=False, default_factory=lambda: defaultdict(_Use)
    )
    _before_start: frozenset[str] | None = field(init=False, default=None)

    def begin(self, consumer: str, model: str, now: float) -> None:
        """Note an admitted request."""
        use = self._uses[consumer, model]
        use.in_flight += 1
        use.last_begin = now

    def end(self, consumer: str, model: str, now: float) -> None:
        """Note the end of an admitted request."""
        use = self._uses[consumer, model]
        use.in_flight -= 1
        use.last_end = now

    def found(self, running: Collection[str]) -> None:
        """Note what runs; at first, these are the models that were loaded before the start."""
        if self._before_start is None:
            self._before_start = frozenset(running)

    def in_flight(self, consumer: str, model: str) -> int:
        """Return how many requests of a consumer a model answers, or will answer."""
        return self._uses[consumer, model].in_flight

    def users(self) -> Mapping[str, frozenset[str]]:
        """Return the models with requests, and whose requests these are."""
        users: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
        for (consumer, model), use in self._uses.items():
            if use.in_flight:
                users[model] |= {consumer}
        return users

    def protected(self, now: float) -> Mapping[str, Mapping[str | None, float]]:
        """Return the seconds of protection left, by model and consumer.

        The consumer is None for a model that was loaded before the gateway started: the longest
        protection of any consumer holds for it.
        """
        left: defaultdict[str, dict[str | None, float]] = defaultdict(dict)
        for (consumer, model), use in self._uses.items():
            if (seconds := use.last_end + self.consumers[consumer].protected_s - now) > 0:
                left[model][consumer] = seconds
        longest_s = max((consumer.protected_s for consumer in self.consumers.values()), default=0)
        if (seconds := self.started_at + longest_s - now) > 0:
            for model in self._before_start or ():
                left[model][None] = seconds
        return left

    def last_used(self) -> Mapping[str, float]:
        """Return when each model's last request began."""
        begun: defaultdict[str, float] = defaultdict(lambda: float("-inf"))
        for (_, model), use in self._uses.items():
            begun[model] = max(begun[model], use.last_begin)
        return begun
