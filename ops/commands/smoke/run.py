"""Run the checks in order, measure their time, and restore the models that were loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.server_command import ServerSettings, of_model
from llama_swap_config.model import Model
from ops.commands.smoke import endpoint_checks
from ops.commands.smoke.device_check import NAME as DEVICE
from ops.commands.smoke.device_check import NotKnownError, device
from ops.commands.smoke.model_checks import Asker, checks_of
from ops.endpoint import residents
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError, Ends
from ops.errors import one_line
from ops.report.terminal import Say

ENDPOINT_TIMEOUT_S = 10
Outcome = Literal["ok", "failed", "skipped", "not known"]
"""A check is skipped only after an earlier failure; a check without a clear answer fails. Only the
device may be not known, which is not a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check."""

    model: str | None
    """The model's id; None: a check of the endpoint itself."""
    name: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    """Why the check is not ok, in one line."""
    note: str = ""
    """A remark on a check that is ok."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The results of all checks of one endpoint."""

    url: str
    front_end: FrontEndName | None
    """The front end that answers; None: not recognised."""
    consumer: str | None = None
    """The consumer as whom a gateway was asked; None: the endpoint itself was."""
    pool: str | None = None
    """The pool whose endpoint it is; None: only one was asked."""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The failed checks, in their order."""
        return tuple(check for check in self.checks if check.outcome == "failed")


def unreachable(url: str, reason: str) -> Result:
    """Return the result of an endpoint to which nothing connects."""
    check = Check(model=None, name="reachable", outcome="failed", reason=one_line(reason))
    return Result(url=url, front_end=None, checks=(check,))


def run(
    endpoint: Endpoint,
    *,
    registry: tuple[Model, ...],
    whose: str = "in the registry",
    models: tuple[Model, ...],
    key_declared: bool,
    server: ServerSettings,
    engine_build: int,
    own_log: Callable[[], str] | None,
    random_weights: bool,
    timeout_s: float,
    say: Say,
    warn: Say,
) -> Result:
    """Run each check once, then restore the models that were loaded, also after an interrupt.

    Args:
        endpoint: The endpoint.
        registry: The models that the endpoint should offer.
        whose: Where the error misses others (default: in the registry).
        models: The models to check, one after another.
        key_declared: Whether the endpoint should require an API key.
        server: The settings of every llama-server, with its device.
        engine_build: The build of llama.cpp that runs every model.
        own_log: Reads the front end's own log from the cluster; None: not reachable.
        random_weights: Whether the models cannot name a colour.
        timeout_s: Seconds for one answer of a model, including its load.
        say: Receives the name of the running check.
        warn: Receives a line when the loaded models could not be restored.
    """
    checks = Checks(endpoint.key, say)
    before = _check_endpoint(
        checks, endpoint, registry, whose, key_declared, min(timeout_s, ENDPOINT_TIMEOUT_S)
    )
    untouched = bool(checks.ended)
    try:
        for number, model in enumerate(models):
            asker = Asker(
                endpoint=endpoint, model=model, timeout_s=timeout_s, random_weights=random_weights
            )
            front_end = before.front_end
            isolated = front_end is None or front_end.isolates
            of_device = partial(
                device, endpoint, front_end, model.id, of_model(server, model, isolated=isolated),
                engine_build=engine_build, own_log=own_log,
                timeout_s=min(timeout_s, ENDPOINT_TIMEOUT_S),
            )  # fmt: skip
            loaded = number == 0 and model.id in before.loaded
            _check_model(checks, asker, of_device, loaded=loaded)
    finally:
        if not untouched:
            say("restoring the models that were loaded")
            try:
                used = [model.id for model in models]
                residents.restore(endpoint, before, used, timeout_s=timeout_s)
            except CheckError as error:
                warn(f"the loaded models were not restored: {checks.shown(error)}")
    return Result(
        url=endpoint.url,
        front_end=None if before.front_end is None else before.front_end.name,
        checks=tuple(checks.results),
    )


def _check_endpoint(
    checks: Checks,
    endpoint: Endpoint,
    registry: tuple[Model, ...],
    whose: str,
    key_declared: bool,
    timeout_s: float,
) -> residents.Residents:
    """Check the endpoint itself; return its front end and the models that it has loaded."""
    check = partial(checks.run, model=None)
    wanted = [model.id for model in registry]
    check("reachable", partial(endpoint_checks.reachable, endpoint, timeout_s=timeout_s))
    before = (
        residents.Residents() if checks.ended else residents.find(endpoint, timeout_s=timeout_s)
    )
    key = partial(
        endpoint_checks.key,
        endpoint,
        before.front_end,
        declared=key_declared,
        not_recognised=before.not_known,
    )
    # Before the list, which the endpoint may refuse without the key.
    check("key", partial(key, timeout_s=timeout_s))
    offered = partial(endpoint_checks.models, endpoint, wanted, whose=whose)
    check("models", partial(offered, timeout_s=timeout_s))
    unknown_model = partial(endpoint_checks.unknown_model, endpoint, before.front_end)
    check("unknown model", partial(unknown_model, timeout_s=timeout_s))
    return before


def _check_model(
    checks: Checks, asker: Asker, of_device: Callable[[], str], *, loaded: bool
) -> None:
    """Run all checks of one model in a row, so that it is loaded once."""
    for name, request in checks_of(asker.model):
        note = "already loaded" if name == "text" and loaded else ""
        checks.run(name, partial(request, asker), model=asker.model.id, note=note)
        if name == "text":
            # Also after a failed load, of which a missing device may be the reason.
            checks.run(DEVICE, of_device, model=asker.model.id, after_failure=True)


class Checks:
    """Runs one check after another and keeps their results."""

    def __init__(self, key: str, say: Say) -> None:
        self.results: list[Check] = []
        self.ended = ""
        """Why all further checks are skipped; empty while they run."""
        self._ended_models: dict[str | None, str] = {}
        self._key = key
        self._say = say

    def run(
        self,
        name: str,
        request: Callable[[], str | None],
        *,
        model: str | None,
        note: str = "",
        after_failure: bool = False,
    ) -> None:
        """Run a check, or skip it after a failure that made it pointless.

        Args:
            name: Its name.
            request: Returns its note.
            model: The model's id; None: a check of the endpoint itself.
            note: The note if the request returns none.
            after_failure: Whether it also runs after a failure of its model.
        """
        begin = time.monotonic()
        outcome: Outcome = "skipped"
        reason = self.ended or ("" if after_failure else self._ended_models.get(model, ""))
        if not reason:
            self._say(f"{model or 'endpoint'}: {name}")
            try:
                note = request() or note
                outcome = "ok"
            except NotKnownError as error:
                outcome = "not known"
                reason = self.shown(error)
            except CheckError as error:
                outcome = "failed"
                reason = self.shown(error)
                self._stop(error.ends, model, f"skipped because {name!r} failed", reason)
        self.results.append(
            Check(
                name=name,
                model=model,
                outcome=outcome,
                seconds=round(time.monotonic() - begin, 3),
                reason=reason,
                note=note if outcome == "ok" else "",
            )
        )

    def shown(self, error: Exception) -> str:
        """Return the reason in one line, without a key that the endpoint may have echoed."""
        text = str(error)
        return one_line(text.replace(self._key, "***") if self._key else text)

    def _stop(self, ends: Ends, model: str | None, why: str, reason: str) -> None:
        if ends == "endpoint":
            self.ended = why
        elif ends == "model" and model is not None:
            self._ended_models[model] = f"{why}: {reason}"
