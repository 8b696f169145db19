"""Ask every model its questions, and keep each answer on disk before the next question."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from ops.commands.bench.answers import Journal
from ops.commands.bench.asking.allowance import Allowance, TimeUpError
from ops.commands.bench.asking.asked_model import AskedModel
from ops.commands.bench.asking.exchange import Asker, Exchange
from ops.commands.bench.asking.label_tokens import LabelError
from ops.commands.bench.asking.methods import Reading
from ops.commands.bench.asking.plan import Ended, Plan
from ops.commands.bench.asking.progress import Display
from ops.commands.bench.asking.schedule import Question, Unit
from ops.commands.bench.asking.warm_up import warm_up
from ops.commands.bench.results import NOT_THE_PHOTO, Answer, Key
from ops.endpoint import residents
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.errors import OpsError, one_line

_BLOCK = 20
"""Questions between two looks at what is loaded."""
_GIVE_UP_AFTER = 10
"""Consecutive failures, none of them because of a photo."""
_PROBE_TIMEOUT_S = 10


class _ModelLeftError(Exception):
    """This model is not asked any more; the text says why."""


class Measurement:
    """The questions of one session to all models."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        *,
        endpoint: Endpoint,
        asker: Asker,
        display: Display,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet."""
        self._plan = plan
        self._prompt = plan.prompt
        self._prompt_sha256 = plan.prompt.sha256
        self._journal = journal
        self._endpoint = endpoint
        self._asker = asker
        self._display = display
        self._models = [
            AskedModel(
                run, endpoint=endpoint, earlier=journal.earlier, prompt_sha256=plan.prompt.sha256
            )
            for run in plan.models
        ]
        self._allowance = Allowance(plan, display, clock)
        self._asked = 0
        self._skipped: dict[str, str] = {}

    def run(self) -> Ended:
        """Ask what is missing.

        Raises:
            LabelError: when a label is not one token of a model, before the first answer; later
                such a model is skipped, like one that does not load.
            OpsError: when the endpoint no longer answers.
        """
        out_of_time = False
        try:
            if self._allowance.is_limited and len(self._models) > 1:
                for model in self._loaded_first():
                    self._ask_model(model, self._allowance.calibration)
            for model in self._loaded_first():
                self._ask_model(model, None)
        except TimeUpError:
            out_of_time = True
            self._display.say("time is up: stopped between two answers")
        return Ended(
            asked=self._asked,
            units=min((self._done(model) for model in self._active()), default=0),
            skipped=self._skipped,
            out_of_time=out_of_time,
        )

    def _loaded_first(self) -> list[AskedModel]:
        """Start with the loaded model: this saves a load."""
        loaded = residents.find(self._endpoint, timeout_s=_PROBE_TIMEOUT_S).loaded
        return sorted(self._models, key=lambda model: model.run.id not in loaded)

    def _active(self) -> list[AskedModel]:
        return [model for model in self._models if model.run.id not in self._skipped]

    def _missing(self, model: AskedModel, unit: Unit) -> list[Question]:
        return [
            question
            for question in unit
            if self._key(model, question) not in self._journal.answered
        ]

    def _key(self, model: AskedModel, question: Question) -> Key:
        return question.key(self._prompt.method, self._prompt_sha256, model.run.sha256)

    def _done(self, model: AskedModel) -> int:
        """Count the answered units from the start of the schedule."""
        units = self._plan.units
        while model.done < len(units) and not self._missing(model, units[model.done]):
            model.done += 1
        return model.done

    def _ask_model(self, model: AskedModel, most: int | None) -> None:
        """Ask one model what is missing of the first `most` units (default: of all that fit)."""
        if model.run.id in self._skipped:
            return
        units = self._allowance.units
        limit = units if most is None else min(most, units)
        todo = [
            (number, question)
            for number, unit in enumerate(self._plan.units[:limit])
            for question in self._missing(model, unit)
        ]
        if not todo:
            return
        total = sum(len(unit) for unit in self._plan.units[:limit])
        what = "photos" if self._prompt.images == 1 else "answers"
        self._display.begin(model.run.id, what, done=total - len(todo), total=total)
        try:
            self._allowance.check(model, load_s=model.load_s or 0.0)
            self._warm_up(model)
            self._ask_all(model, todo, bounded=most is not None)
        except _ModelLeftError as left:
            self._skipped[model.run.id] = str(left)
            self._display.say(f"skipped {model.run.id}: {left}")

    def _ask_all(
        self, model: AskedModel, todo: Sequence[tuple[int, Question]], *, bounded: bool
    ) -> None:
        with closing(self._prepared(model, todo)) as prepared:
            for count, (unit, question, body) in enumerate(prepared):
                if unit >= self._allowance.units:
                    return
                self._allowance.check(model)
                if count and count % _BLOCK == 0 and model.watch.is_loaded() is False:
                    model.is_cold = True
                self._ask(model, question, body)
                self._display.answered()
                if not bounded:
                    for asked in self._active():
                        self._done(asked)
                    self._allowance.fit(model, self._active())

    def _prepared(
        self, model: AskedModel, todo: Sequence[tuple[int, Question]]
    ) -> Generator[tuple[int, Question, bytes], None, None]:
        """Prepare the next request while the server answers the current one."""
        with ThreadPoolExecutor(1) as pool:
            waiting: Future[bytes] = pool.submit(self._body, model, todo[0][1])
            for place, (unit, question) in enumerate(todo):
                body = waiting.result()
                if place + 1 < len(todo):
                    waiting = pool.submit(self._body, model, todo[place + 1][1])
                yield unit, question, body

    def _body(self, model: AskedModel, question: Question) -> bytes:
        try:
            images = [
                (self._plan.images / f"{image}.jpg").read_bytes() for image in question.images
            ]
        except OSError as error:
            raise OpsError(f"{error.filename} cannot be read ({error.strerror})") from error
        return json.dumps(self._prompt.body(model.run.id, images)).encode()

    def _ask(self, model: AskedModel, question: Question, body: bytes) -> None:
        exchange = self._exchange(body)
        reading = self._read(exchange, model)
        cold = model.is_cold
        if exchange.document is not None and model.watch.was_swapped(exchange):
            cold = True
        if cold:
            self._note_load(model, "others", None, cold=True)
            self._display.say(f"another client unloaded {model.run.id}")
        else:
            model.warm_s.append(exchange.wall_s)
        model.is_cold = False
        self._journal.answer(
            Answer(
                key=self._key(model, question),
                model=model.run.id,
                score=reading.score,
                failure=reading.failure,
                spread=reading.spread,
                mass=reading.mass,
                labels=reading.labels,
                criteria=reading.criteria,
                raw=self._asker.excerpt(reading.raw),
                wall_s=exchange.wall_s,
                server_s=exchange.server_s,
                prompt_tokens=exchange.prompt_tokens,
                answer_tokens=exchange.answer_tokens,
                cold=cold,
                attempt=exchange.attempt,
                at=time.time(),
            )
        )
        self._asked += 1
        self._count_failures(model, reading)

    def _exchange(self, body: bytes) -> Exchange:
        """Ask within the remaining time.

        Raises:
            TimeUpError: when time ran out, which does not count as a failure of the photo.
        """
        exchange = self._asker.ask(body, within_s=self._allowance.left_s)
        if exchange.failure in ("timeout", "connection") and self._allowance.left_s <= 0:
            raise TimeUpError
        if exchange.failure == "connection":
            self._check_reachable()
        return exchange

    def _read(self, exchange: Exchange, model: AskedModel) -> Reading:
        if exchange.failure is not None:
            return Reading(failure=exchange.failure, raw=exchange.raw)
        return self._prompt.read(exchange.document, model.token_ids)

    def _count_failures(self, model: AskedModel, reading: Reading) -> None:
        is_infrastructure = reading.failure in NOT_THE_PHOTO
        model.failures_in_a_row = model.failures_in_a_row + 1 if is_infrastructure else 0
        if model.failures_in_a_row >= _GIVE_UP_AFTER:
            raise _ModelLeftError(
                f"{_GIVE_UP_AFTER} failures in a row, the last one {reading.failure}: "
                f"{one_line(self._asker.excerpt(reading.raw))}"
            )

    def _warm_up(self, model: AskedModel) -> None:
        """Load the model before the first photo."""
        was_loaded = model.watch.is_loaded()
        if was_loaded and model.token_ids is not None:
            return
        try:
            warmed = warm_up(
                model.run.id, self._prompt, endpoint=self._endpoint, ask=self._exchange
            )
        except LabelError as error:
            # Before the first answer a new rubric is best; later it would cost the answers.
            if not any(key.prompt_sha256 == self._prompt_sha256 for key in self._journal.answered):
                raise
            raise _ModelLeftError(str(error)) from error
        exchange = warmed.exchange
        if exchange.failure is not None:
            raise _ModelLeftError(
                f"it does not answer at all ({exchange.failure}): {one_line(exchange.raw)}"
            )
        model.token_ids = warmed.token_ids
        if was_loaded:
            self._note_load(model, "run", None, cold=False, engine=warmed.engine)
            return
        model.load_s = exchange.wall_s
        self._display.say(
            f"{model.run.id} answered after {exchange.wall_s:.1f} s, with its cold load"
        )
        self._note_load(model, "run", exchange.wall_s, cold=True, engine=warmed.engine)

    def _note_load(
        self,
        model: AskedModel,
        by: str,
        seconds: float | None,
        *,
        cold: bool,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        facts = {} if engine is None else {"engine": engine}
        self._journal.note(
            "load",
            model=model.run.id,
            model_sha256=model.run.sha256,
            at=time.time(),
            by=by,
            cold=cold,
            seconds=seconds,
            **facts,
        )

    def _check_reachable(self) -> None:
        try:
            self._endpoint.get("/v1/models", timeout_s=_PROBE_TIMEOUT_S)
        except CheckError as error:
            raise OpsError(f"the endpoint no longer answers: {error}") from error
