"""The order of the questions, the time that each takes, and the endpoint left as it was found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from ops.commands.smoke import endpoint_checks
from ops.commands.smoke.model_checks import Asker, checks_of
from ops.endpoint import residents
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError, Ends
from ops.errors import one_line
from ops.report.terminal import Say

_ENDPOINT_TIMEOUT_S = 10
Outcome = Literal["ok", "failed", "skipped"]
"""Only a failure before it can make a check skipped: what cannot be seen is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to the endpoint, and what came of it."""

    model: str | None
    """The model's id; None: about the endpoint itself."""
    name: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    """One line, why it failed or was skipped; empty when it is ok."""
    note: str = ""
    """What is worth knowing although it is ok."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that was asked of one endpoint."""

    url: str
    front_end: FrontEndName | None
    """What answers; None: it could not be told."""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """What the endpoint does not do, in the order of the questions."""
        return tuple(each for each in self.checks if each.outcome == "failed")


def run(
    endpoint: Endpoint,
    *,
    registry: tuple[Model, ...],
    models: tuple[Model, ...],
    key_declared: bool,
    random_weights: bool,
    timeout_s: float,
    say: Say,
    warn: Say,
) -> Result:
    """Ask everything once, then bring back what was loaded before, also after an interrupt.

    Args:
        endpoint: The endpoint.
        registry: The models that it should offer.
        models: Those that are asked, in this order, each until it is done.
        key_declared: Whether it should ask for an API key.
        random_weights: Whether colours cannot be asked for by name.
        timeout_s: Seconds for one answer of a model, its load included.
        say: Takes what is asked at the moment.
        warn: Takes a line on what could not be left as it was found.
    """
    asking = _Asking(endpoint.key, say)
    found = _ask_endpoint(
        asking, endpoint, registry, key_declared, min(timeout_s, _ENDPOINT_TIMEOUT_S)
    )
    untouched = bool(asking.over)
    try:
        for number, model in enumerate(models):
            asker = Asker(
                endpoint=endpoint, model=model, timeout_s=timeout_s, random_weights=random_weights
            )
            _ask_model(asking, asker, loaded=number == 0 and model.id in found.loaded)
    finally:
        if not untouched:
            say("leaving the endpoint as it was")
            try:
                asked = [model.id for model in models]
                residents.bring_back(endpoint, found, asked, timeout_s=timeout_s)
            except CheckError as failed:
                warn(f"not left as it was found: {asking.shown(failed)}")
    return Result(
        url=endpoint.url,
        front_end=None if found.front_end is None else found.front_end.name,
        checks=tuple(asking.checks),
    )


def _ask_endpoint(
    asking: _Asking,
    endpoint: Endpoint,
    registry: tuple[Model, ...],
    key_declared: bool,
    timeout_s: float,
) -> residents.Residents:
    """Ask the endpoint itself, and see what it is and what is loaded."""
    ask = partial(asking.ask, model=None)
    wanted = [model.id for model in registry]
    ask("reachable", partial(endpoint_checks.reachable, endpoint, timeout_s=timeout_s))
    found = residents.Residents() if asking.over else residents.find(endpoint, timeout_s=timeout_s)
    key = partial(endpoint_checks.key, endpoint, found.front_end, declared=key_declared)
    # Before the list, which may be refused without the key.
    ask("key", partial(key, timeout_s=timeout_s))
    ask("models", partial(endpoint_checks.models, endpoint, wanted, timeout_s=timeout_s))
    unknown_model = partial(endpoint_checks.unknown_model, endpoint, found.front_end)
    ask("unknown model", partial(unknown_model, timeout_s=timeout_s))
    return found


def _ask_model(asking: _Asking, asker: Asker, *, loaded: bool) -> None:
    """Ask one model everything, so that it is loaded once."""
    for name, question in checks_of(asker.model):
        note = "it was loaded already" if name == "text" and loaded else ""
        asking.ask(name, partial(question, asker), model=asker.model.id, note=note)


class _Asking:
    """Asks one thing after the other and keeps what came of it."""

    def __init__(self, key: str, say: Say) -> None:
        self.checks: list[Check] = []
        self.over = ""
        """Why nothing is asked any more; empty while something is."""
        self._over_for: dict[str | None, str] = {}
        self._key = key
        self._say = say

    def ask(
        self, name: str, question: Callable[[], str | None], *, model: str | None, note: str = ""
    ) -> None:
        """Ask, unless an earlier answer has made that pointless; a question may return a note."""
        begin = time.monotonic()
        outcome: Outcome = "skipped"
        reason = self.over or self._over_for.get(model, "")
        if not reason:
            self._say(f"{model or 'endpoint'}: {name}")
            try:
                note = question() or note
                outcome = "ok"
            except CheckError as failed:
                outcome = "failed"
                reason = self.shown(failed)
                self._stop(failed.ends, model, f"not asked, because {name!r} failed", reason)
        self.checks.append(
            Check(
                name=name,
                model=model,
                outcome=outcome,
                seconds=round(time.monotonic() - begin, 3),
                reason=reason,
                note=note if outcome == "ok" else "",
            )
        )

    def shown(self, failed: CheckError) -> str:
        """The reason in one line; an endpoint that answers what it was sent shows no key here."""
        text = str(failed)
        return one_line(text.replace(self._key, "***") if self._key else text)

    def _stop(self, ends: Ends, model: str | None, why: str, reason: str) -> None:
        if ends == "endpoint":
            self.over = why
        elif ends == "model" and model is not None:
            self._over_for[model] = f"{why}: {reason}"
