"""The run itself: model by model, each question once, each answer on the disk before the next."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from ops.errors import OpsError
from ops.photo_bench.answers import Journal
from ops.photo_bench.asking.exchange import Asker, Exchange
from ops.photo_bench.asking.forecast import Pace, needed_s, units_that_fit
from ops.photo_bench.asking.methods import Reading
from ops.photo_bench.asking.plan import Ended, Plan
from ops.photo_bench.asking.progress import Shown
from ops.photo_bench.asking.schedule import Question, Unit
from ops.photo_bench.asking.warm_up import warm_up
from ops.photo_bench.asking.watch import Watch
from ops.photo_bench.results import NOT_THE_PHOTO, Answer, Key, ModelRun
from ops.smoke import residents
from ops.smoke.endpoint import Endpoint
from ops.smoke.outcome import CheckError, one_line

CALIBRATION = 5
"""Photos of each model that a forecast rests on."""
_BLOCK = 20
"""Questions between two looks at what is loaded."""
_GIVE_UP_AFTER = 10
"""Failures in a row that no photo can be blamed for."""
_PROBE_TIMEOUT_S = 10


class _ModelLeftError(Exception):
    """This model is not asked any more; the text says why."""


class _TimeUpError(Exception):
    """The window closes."""


def measure(
    plan: Plan,
    journal: Journal,
    *,
    endpoint: Endpoint,
    asker: Asker,
    shown: Shown,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Ask what is missing.

    Args:
        plan: What is asked.
        journal: Where answers go, and what is there already.
        endpoint: For looks at what is loaded.
        asker: For the questions.
        shown: Where progress goes.
        clock: Of the plan's deadline.

    Raises:
        OpsError: when a label is not one token of a model, or the endpoint is gone.
    """
    return _Measuring(plan, journal, endpoint, asker, shown, clock).run()


class _Model:
    """One model in this session."""

    def __init__(self, run: ModelRun, endpoint: Endpoint) -> None:
        self.run = run
        self.watch = Watch(endpoint, run.id)
        self.token_ids: Mapping[str, int] | None = None
        """None: it was not warmed up yet."""
        self.load_s = run.cold_load_s
        self.warm_s: list[float] = []
        self.done = 0
        self.is_cold = False
        """Whether the next answer has to wait for a load."""
        self.failures_in_a_row = 0


class _Measuring:
    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        endpoint: Endpoint,
        asker: Asker,
        shown: Shown,
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._prompt = plan.prompt
        self._prompt_sha256 = plan.prompt.sha256
        self._journal = journal
        self._endpoint = endpoint
        self._asker = asker
        self._shown = shown
        self._clock = clock
        self._models = [_Model(run, endpoint) for run in plan.models]
        for model in self._models:
            model.warm_s = [
                answer.wall_s
                for answer in journal.earlier
                if answer.failure is None
                and not answer.cold
                and answer.key.model_sha256 == model.run.sha256
                and answer.key.prompt_sha256 == self._prompt_sha256
            ]
        self._units = len(plan.units)
        self._asked = 0
        self._skipped: dict[str, str] = {}
        self._forecast_said = False

    def run(self) -> Ended:
        out_of_time = False
        try:
            if self._plan.deadline is not None and len(self._models) > 1:
                for model in self._loaded_first():
                    self._ask_model(model, self._calibration())
            for model in self._loaded_first():
                self._ask_model(model, None)
        except _TimeUpError:
            out_of_time = True
            self._shown.say("time is up: stopped between two answers")
        return Ended(
            asked=self._asked,
            units=min((self._done(model) for model in self._going_on()), default=0),
            skipped=self._skipped,
            out_of_time=out_of_time,
        )

    def _loaded_first(self) -> list[_Model]:
        """A load less: what is loaded goes on."""
        loaded = residents.find(self._endpoint, timeout_s=_PROBE_TIMEOUT_S).loaded
        return sorted(self._models, key=lambda model: model.run.id not in loaded)

    def _going_on(self) -> list[_Model]:
        return [model for model in self._models if model.run.id not in self._skipped]

    def _calibration(self) -> int:
        """How many units hold the photos that a forecast rests on."""
        questions = 0
        for number, unit in enumerate(self._plan.units, start=1):
            questions += len(unit)
            if questions >= CALIBRATION:
                return number
        return len(self._plan.units)

    def _missing(self, model: _Model, unit: Unit) -> list[Question]:
        return [
            question
            for question in unit
            if self._key(model, question) not in self._journal.answered
        ]

    def _key(self, model: _Model, question: Question) -> Key:
        return question.key(self._prompt.method, self._prompt_sha256, model.run.sha256)

    def _done(self, model: _Model) -> int:
        """How many units from the beginning are answered."""
        units = self._plan.units
        while model.done < len(units) and not self._missing(model, units[model.done]):
            model.done += 1
        return model.done

    def _ask_model(self, model: _Model, most: int | None) -> None:
        """Ask one model what it has not answered.

        Args:
            model: The model.
            most: Units from the schedule's beginning; None: as many as fit.
        """
        if model.run.id in self._skipped:
            return
        limit = self._units if most is None else min(most, self._units)
        todo = [
            (number, question)
            for number, unit in enumerate(self._plan.units[:limit])
            for question in self._missing(model, unit)
        ]
        if not todo:
            return
        total = sum(len(unit) for unit in self._plan.units[:limit])
        what = "photos" if self._prompt.images == 1 else "answers"
        self._shown.begin(model.run.id, what, done=total - len(todo), total=total)
        try:
            self._check_time(model, load_s=model.load_s or 0.0)
            self._warm_up(model)
            self._ask_all(model, todo, bounded=most is not None)
        except _ModelLeftError as left:
            self._skipped[model.run.id] = str(left)
            self._shown.say(f"{model.run.id} is left: {left}")

    def _ask_all(
        self, model: _Model, todo: Sequence[tuple[int, Question]], *, bounded: bool
    ) -> None:
        with closing(self._prepared(model, todo)) as prepared:
            for count, (unit, question, body) in enumerate(prepared):
                if unit >= self._units:
                    return
                self._check_time(model)
                if count and count % _BLOCK == 0 and model.watch.is_loaded() is False:
                    model.is_cold = True
                self._ask(model, question, body)
                self._shown.answered()
                if not bounded:
                    self._fit_to_time(model)

    def _prepared(
        self, model: _Model, todo: Sequence[tuple[int, Question]]
    ) -> Generator[tuple[int, Question, bytes], None, None]:
        """One request is with the server, the next one is ready to go."""
        with ThreadPoolExecutor(1) as pool:
            waiting: Future[bytes] = pool.submit(self._body, model, todo[0][1])
            for place, (unit, question) in enumerate(todo):
                body = waiting.result()
                if place + 1 < len(todo):
                    waiting = pool.submit(self._body, model, todo[place + 1][1])
                yield unit, question, body

    def _body(self, model: _Model, question: Question) -> bytes:
        try:
            images = [
                (self._plan.images / f"{image}.jpg").read_bytes() for image in question.images
            ]
        except OSError as error:
            raise OpsError(f"{error.filename} cannot be read ({error.strerror})") from error
        return json.dumps(self._prompt.body(model.run.id, images)).encode()

    def _ask(self, model: _Model, question: Question, body: bytes) -> None:
        exchange = self._asker.ask(body)
        if exchange.failure == "connection":
            self._check_reachable()
        reading = self._read(exchange, model)
        cold = model.is_cold
        if exchange.document is not None and model.watch.was_swapped(exchange):
            cold = True
        if cold:
            self._note_load(model, "others", None, cold=True)
            self._shown.say(f"{model.run.id} was swapped away by another client")
        elif reading.failure is None:
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
                raw=reading.raw,
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

    def _read(self, exchange: Exchange, model: _Model) -> Reading:
        if exchange.failure is not None:
            return Reading(failure=exchange.failure, raw=exchange.raw)
        return self._prompt.read(exchange.document, model.token_ids)

    def _count_failures(self, model: _Model, reading: Reading) -> None:
        is_infrastructure = reading.failure in NOT_THE_PHOTO
        model.failures_in_a_row = model.failures_in_a_row + 1 if is_infrastructure else 0
        if model.failures_in_a_row >= _GIVE_UP_AFTER:
            raise _ModelLeftError(
                f"{_GIVE_UP_AFTER} failures in a row, the last one {reading.failure}: "
                f"{one_line(reading.raw)}"
            )

    def _warm_up(self, model: _Model) -> None:
        """Load the model apart from the photos."""
        was_loaded = model.watch.is_loaded()
        if was_loaded and model.token_ids is not None:
            return
        found = warm_up(model.run.id, self._prompt, endpoint=self._endpoint, asker=self._asker)
        exchange = found.exchange
        if exchange.failure == "connection":
            self._check_reachable()
        if exchange.failure is not None:
            raise _ModelLeftError(
                f"it does not answer at all ({exchange.failure}): {one_line(exchange.raw)}"
            )
        model.token_ids = found.token_ids
        if was_loaded:
            self._note_load(model, "run", None, cold=False, engine=found.engine)
            return
        model.load_s = exchange.wall_s
        self._shown.say(f"{model.run.id} answers after {exchange.wall_s:.1f} s, cold")
        self._note_load(model, "run", exchange.wall_s, cold=True, engine=found.engine)

    def _note_load(
        self,
        model: _Model,
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
            raise OpsError(f"the endpoint does not answer any more: {error}") from error

    def _check_time(self, model: _Model, *, load_s: float = 0.0) -> None:
        deadline = self._plan.deadline
        answer_s = statistics.fmean(model.warm_s) if model.warm_s else 0.0
        if deadline is not None and self._clock() + load_s + answer_s > deadline:
            raise _TimeUpError

    def _fit_to_time(self, model: _Model) -> None:
        """Ask all models about fewer photos when the time that is left asks for it."""
        deadline = self._plan.deadline
        known = all(each.warm_s for each in self._going_on())
        if deadline is None or not known or len(model.warm_s) < CALIBRATION:
            return
        paces = [self._pace(each, is_loaded=each is model) for each in self._going_on()]
        remaining_s = deadline - self._clock()
        fit = units_that_fit(paces, remaining_s, most=self._units)
        if fit < self._units:
            self._shown.say(
                f"forecast: {fit} of {self._units} {self._unit_word()} fit for every model into "
                f"the {remaining_s / 60:.0f} min that are left"
            )
            self._units = fit
            self._shown.shrink(sum(len(unit) for unit in self._plan.units[:fit]))
        elif not self._forecast_said:
            self._shown.say(
                f"forecast: all {self._units} {self._unit_word()} take "
                f"{needed_s(paces, self._units) / 60:.0f} of the {remaining_s / 60:.0f} min"
            )
        self._forecast_said = True

    def _pace(self, model: _Model, *, is_loaded: bool) -> Pace:
        per_unit = sum(len(unit) for unit in self._plan.units) / max(1, len(self._plan.units))
        loads = [each.load_s for each in self._models if each.load_s is not None]
        load_s = model.load_s or (max(loads) if loads else 0.0)
        return Pace(
            load_s=0.0 if is_loaded else load_s,
            unit_s=statistics.fmean(model.warm_s) * per_unit,
            done=self._done(model),
        )

    def _unit_word(self) -> str:
        return {"pairwise": "pairs", "anchored": "blocks of photos"}.get(
            self._prompt.method, "photos"
        )
