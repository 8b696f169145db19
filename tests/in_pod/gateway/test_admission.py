"""Admission in order and in parallel, in front of a front end that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from in_pod.gateway import admission
from in_pod.gateway.admission import Admission, NotAdmittedError
from in_pod.gateway.asgi_types import Message, Send
from in_pod.gateway.asking import SilentError, UnreachableError
from in_pod.gateway.card import Others, Sample
from in_pod.gateway.failed_load import FailedLoad
from in_pod.gateway.first_answer import answer
from in_pod.gateway.front_end import Seen
from in_pod.gateway.homes import not_served
from in_pod.gateway.policy import Pool
from in_pod.gateway.refusal import RefusedError
from in_pod.gateway.state import Why
from tests.in_pod.gateway.policies import consumer, pool

A, B = "a", "b"
POSTER, HOME = "poster", "home"
TWO = pool({A: 8_000, B: 5_000}, {POSTER: consumer(A, B), HOME: consumer(A, B)})
ML = "immich/immich-machine-learning"


@dataclass
class Played:
    """A front end, its clock and the exporter's word."""

    loaded: tuple[str, ...] = ()
    used_mib: float | None = 0
    fails: Exception | None = None
    answers_in: float = 0
    logged: FailedLoad | None = None
    why: Why = field(default_factory=lambda: Why(reason="see the endpoint's pod"))
    now: float = 1_000
    looks: int = 0
    counted: list[object] = field(default_factory=list)

    def clock(self) -> float:
        self.now += 1e-6
        return self.now

    async def look(self) -> Seen:
        self.looks += 1
        await asyncio.sleep(self.answers_in)
        if self.fails:
            raise self.fails
        sample = (
            None if self.used_mib is None else Sample(at=self.now - 1, used_mib={0: self.used_mib})
        )
        running = dict.fromkeys(self.loaded, True)
        return Seen(running=running, ending=frozenset(), sample=sample)

    async def logged_failure(self, _model: str) -> FailedLoad | None:
        return self.logged

    def refused(self, *labels: str) -> None:
        self.counted.append(labels)

    def unjudged(self, reason: str) -> None:
        self.counted.append(reason)

    def retried(self, model: str) -> None:
        self.counted.append(("retried", model))

    def in_flight(self, consumer: str, model: str, number: int) -> None:
        pass

    def judged_by(self, others: Others | None) -> None:
        pass


def run(
    played: Played, test: Callable[[Admission], Coroutine[None, None, None]], of: Pool = TWO
) -> None:
    async def why() -> Why:
        return played.why

    async def main() -> None:
        await test(
            Admission(pool=of, front_end=played, why=why, counts=played, clock=played.clock)
        )

    asyncio.run(main())


@asynccontextmanager
async def refused(code: str) -> AsyncIterator[RefusedError]:
    caught = RefusedError(0, "", "")
    with pytest.raises(RefusedError) as raised:
        yield caught
    assert raised.value.code == code
    assert raised.value.status == 503
    caught.__dict__.update(raised.value.__dict__)
    caught.args = raised.value.args


async def ask(of: Admission, name: str, model: str) -> None:
    try:
        async with of.of(name, model):
            pass
    except NotAdmittedError as error:
        raise await not_served(model, [(of, error.refusal)]) from error


def test_two_loads_never_count_on_the_same_memory() -> None:
    played = Played(answers_in=0.01)
    sized = pool(
        {A: 8_000, B: 8_000},
        {POSTER: consumer(A), HOME: consumer(B)},
        front_end="llama-server",
        models_max=2,
    )

    async def test(of: Admission) -> None:
        async def hold(name: str, model: str) -> str:
            try:
                async with of.of(name, model):
                    await asyncio.sleep(0.1)
                    return "passed"
            except NotAdmittedError as error:
                return error.refusal.code

        results = await asyncio.gather(hold(POSTER, A), hold(HOME, B))
        assert sorted(results) == ["card_in_use", "passed"]

    run(played, test, sized)


def test_a_loaded_model_is_not_looked_for_again_within_seconds() -> None:
    played = Played(loaded=(A,))

    async def test(of: Admission) -> None:
        for _ in range(50):
            await ask(of, POSTER, A)
        assert played.looks == 1
        played.now += 4
        await ask(of, POSTER, A)
        assert played.looks == 2

    run(played, test)


def test_a_look_from_before_a_load_does_not_count_afterwards() -> None:
    played = Played(loaded=(A,))
    may_evict = pool(
        {A: 8_000, B: 5_000}, {POSTER: consumer(A), HOME: consumer(B, may_evict=True)}
    )

    async def test(of: Admission) -> None:
        await ask(of, POSTER, A)
        async with of.of(HOME, B):
            await ask(of, POSTER, A)
            played.loaded = (B,)
        # The last look found A, which B has ended since.
        async with refused("model_in_use"):
            await ask(of, POSTER, A)

    run(played, test, may_evict)


def test_while_a_load_is_awaited_a_look_is_made_for_each_request() -> None:
    played = Played(loaded=(A,))
    may_evict = pool(
        {A: 8_000, B: 5_000}, {POSTER: consumer(A), HOME: consumer(B, may_evict=True)}
    )

    async def test(of: Admission) -> None:
        await ask(of, POSTER, A)
        async with of.of(HOME, B):
            await ask(of, POSTER, A)
            played.loaded = (B,)
            async with refused("model_in_use"):
                await ask(of, POSTER, A)

    run(played, test, may_evict)


def test_a_model_is_protected_after_its_last_answer() -> None:
    played = Played(loaded=(A,))

    async def test(of: Admission) -> None:
        played.now += 100
        await ask(of, POSTER, A)
        played.now += 59
        async with refused("model_in_use") as refusal:
            await ask(of, HOME, B)
        assert refusal.retry_after_s == 1
        played.now += 1
        await ask(of, HOME, B)

    run(played, test)


def test_what_ran_before_the_start_is_protected_as_long_as_any_consumer_s() -> None:
    played = Played(loaded=(A,))
    unequal = pool(
        {A: 8_000, B: 5_000}, {POSTER: consumer(A, B, protected_s=5), HOME: consumer(A, B)}
    )

    async def test(of: Admission) -> None:
        played.now += 30
        async with refused("model_in_use") as refusal:
            await ask(of, POSTER, B)
        assert refusal.facts["holder"] == (
            "model a loaded before the gateway started, protected for 30 s more"
        )
        # Loaded later by somebody who does not ask the gateway: as without one.
        played.loaded, played.now = (B,), played.now + 4
        await ask(of, POSTER, A)

    run(played, test, unequal)


def test_a_full_card_is_said_with_the_tenant_that_has_it() -> None:
    played = Played(used_mib=11_000, why=Why(reason=f"{ML} has the card", holder=ML))

    async def test(of: Admission) -> None:
        async with refused("card_in_use") as refusal:
            await ask(of, HOME, B)
        assert refusal.facts == {
            "model": B,
            "mib_needed": 5_000,
            "mib_free": 4_000,
            "holder": f"another program holds 11,000 MiB ({ML} has the card)",
        }
        assert str(refusal) == (
            "model b is not served now: it needs 5,000 MiB and 4,000 MiB are free, 1 s ago: "
            f"another program holds 11,000 MiB ({ML} has the card). Retry in 5 s"
        )

    run(played, test)


def test_without_gauges_a_load_passes_and_is_counted() -> None:
    played = Played(used_mib=None)

    async def test(of: Admission) -> None:
        await ask(of, HOME, B)
        assert played.counted == ["no gauges"]

    run(played, test)


def test_a_front_end_that_is_silent_lets_everything_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    played = Played(fails=SilentError("it answers 401 to /running"))

    async def test(of: Admission) -> None:
        await ask(of, HOME, B)
        await ask(of, HOME, B)
        assert played.counted == ["no answer", "no answer"]

    run(played, test)
    assert [record.getMessage() for record in caplog.records] == [
        "gateway: loads are passed on without a look at the card's memory: it answers 401 to "
        "/running"
    ]


def test_a_front_end_that_is_silent_for_a_while_is_judged_by_what_it_said_last() -> None:
    played = Played(loaded=(A,), used_mib=8_000)
    may_evict = pool(
        {A: 8_000, B: 5_000},
        {POSTER: consumer(A), HOME: consumer(B), "boss": consumer(B, may_evict=True)},
    )

    async def test(of: Admission) -> None:
        await ask(of, POSTER, A)
        played.fails = SilentError("slow")
        played.now += 10
        async with refused("model_in_use"):
            await ask(of, HOME, B)
        await ask(of, POSTER, A)
        # B has ended A, though nobody could see it.
        await ask(of, "boss", B)
        await ask(of, HOME, B)
        async with refused("model_in_use"):
            await ask(of, POSTER, A)
        assert not [each for each in played.counted if isinstance(each, str)]
        played.now += 61
        await ask(of, POSTER, A)
        assert played.counted[-1] == "no answer"

    run(played, test, may_evict)


def test_nobody_queues_behind_a_silent_front_end() -> None:
    played = Played(fails=SilentError("slow"), answers_in=0.3)

    async def test(of: Admission) -> None:
        await asyncio.gather(*(ask(of, HOME, B) for _ in range(20)))
        await ask(of, HOME, B)
        assert played.looks == 1

    run(played, test)


def test_an_endpoint_that_is_gone_is_said_to_all_who_wait_at_once() -> None:
    played = Played(
        fails=UnreachableError("nothing listens there"),
        answers_in=0.3,
        why=Why(reason="it warms up", retry_after_s=41),
    )

    async def test(of: Admission) -> None:
        results = await asyncio.gather(
            *(ask(of, HOME, B) for _ in range(20)), return_exceptions=True
        )
        assert played.looks == 1
        for refusal in results:
            assert isinstance(refusal, RefusedError)
            assert refusal.code == "endpoint_unreachable"
            assert refusal.retry_after_s == 41
            assert refusal.facts["holder"] == "it warms up"
        played.fails = None
        await ask(of, HOME, B)

    run(played, test)


def test_the_front_end_is_looked_at_only_while_there_are_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "_LOOK_EVERY_S", 0.01)
    played = Played()

    async def three_looks() -> None:
        enough = played.looks + 3
        while played.looks < enough:
            await asyncio.sleep(0.01)

    async def nobody_looks() -> None:
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)

    async def test(of: Admission) -> None:
        async with asyncio.timeout(20):
            async with of.of(HOME, B):
                played.now += 100
                await three_looks()
            played.now += 9
            await three_looks()
            played.now += 1
            await nobody_looks()
            async with of.of(HOME, B):
                await three_looks()

    run(played, test)


def test_a_client_that_leaves_while_it_is_judged_holds_no_place() -> None:
    played = Played(answers_in=0.05)

    async def test(of: Admission) -> None:
        leaving = asyncio.create_task(ask(of, POSTER, A))
        await asyncio.sleep(0.01)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await ask(of, HOME, B)

    run(played, test)


def test_requests_at_once_end_in_any_order() -> None:
    played = Played(loaded=(A,))

    async def test(of: Admission) -> None:
        played.now += 100
        stacks = [AsyncExitStack() for _ in range(3)]
        for stack in stacks:
            await stack.enter_async_context(of.of(POSTER, A))
        for stack in stacks:
            async with refused("model_in_use") as refusal:
                await ask(of, HOME, B)
            assert "in use" in refusal.facts["holder"]
            await stack.aclose()

    run(played, test)


@dataclass
class App:
    """An app that answers each call with the next status and text."""

    answers: list[tuple[int, str]]
    calls: int = 0

    async def __call__(self, _pool: str, send: Send) -> None:
        status, text = self.answers[self.calls]
        self.calls += 1
        await send({"type": "http.response.start", "status": status, "headers": []})
        half = len(text) // 2
        for part, more in ((text[:half], True), (text[half:], False)):
            body = part.encode()
            await send({"type": "http.response.body", "body": body, "more_body": more})


def answered(played: Played, app: App) -> tuple[int, str] | RefusedError:
    sent: list[Message] = []
    found: list[RefusedError] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def test(of: Admission) -> None:
        try:
            await answer([of], HOME, B, app, send)
        except RefusedError as refusal:
            found.append(refusal)

    run(played, test)
    if found:
        assert not sent
        return found[0]
    return sent[0]["status"], b"".join(each["body"] for each in sent[1:]).decode()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "Error code: 500"),
        (200, "model name=b is not running"),
        (400, "no messages"),
        (500, "image input is not supported"),
        (429, "upstream command exited prematurely"),
        (400, "upstream command exited prematurely"),
        (500, "model name=b is not running"),
        (500, "x" * 100_000),
    ],
)
def test_every_other_answer_passes_as_it_is(status: int, text: str) -> None:
    app = App([(status, text)])
    assert answered(Played(), app) == (status, text)
    assert app.calls == 1


def test_an_error_too_long_to_hold_passes_before_its_end() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(_pool: str, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 60_000, "more_body": True})
        assert not sent
        await send({"type": "http.response.body", "body": b"x" * 60_000, "more_body": True})
        assert len(sent) == 3
        await send({"type": "http.response.body", "body": b"Error code: 500"})

    async def test(of: Admission) -> None:
        await answer([of], HOME, B, app, send)

    run(Played(), test)
    assert len(sent) == 4


def test_a_swap_of_the_router_is_retried_once() -> None:
    swapping = (400, "litellm.BadRequestError: model name=b is not running")
    played, app = Played(), App([swapping, (200, "hi")])
    assert answered(played, app) == (200, "hi")
    assert ("retried", B) in played.counted
    assert answered(Played(), App([swapping, swapping])) == swapping


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ('{"error":"unspecific error: upstream command exited prematurely"}', "exit"),
        ('{"error":"unspecific error: health check timed out after 15s"}', "timeout"),
        ("litellm.InternalServerError: OpenAIException - Error code: 500", "exit"),
        ("model name=b failed to load", "exit"),
        ("model limit reached, try again later", "ended"),
    ],
)
def test_a_failed_load_gets_the_answer_of_a_refusal(text: str, failure: str) -> None:
    played = Played()
    refusal = answered(played, App([(500, text)]))
    assert isinstance(refusal, RefusedError)
    assert (refusal.status, refusal.code) == (503, "load_failed")
    assert refusal.facts["failure"] == failure
    assert refusal.retry_after_s == 15


def test_a_failed_load_is_said_with_the_words_of_the_log() -> None:
    played = Played(logged=FailedLoad(failure="memory", reason="out of memory"))
    refusal = answered(played, App([(500, "Error code: 500")]))
    assert isinstance(refusal, RefusedError)
    assert refusal.facts["failure"] == "memory"
    assert str(refusal) == (
        "model b is not served now: its load failed: out of memory. Retry in 15 s"
    )


def test_a_card_that_filled_in_the_gap_is_said_with_its_figures() -> None:
    played = Played()

    class Filling(App):
        async def __call__(self, pool: str, send: Send) -> None:
            played.used_mib, played.now = 12_000, played.now + 3
            await super().__call__(pool, send)

    refusal = answered(played, Filling([(500, "Error code: 500")]))
    assert isinstance(refusal, RefusedError)
    assert refusal.code == "card_in_use"
    assert refusal.facts["mib_free"] == 3_000


def test_an_endpoint_that_went_away_in_the_gap_is_said() -> None:
    played = Played()

    class Leaving(App):
        async def __call__(self, pool: str, send: Send) -> None:
            played.fails = UnreachableError("nothing listens there")
            await super().__call__(pool, send)

    refusal = answered(played, Leaving([(500, "OpenAIException - Connection error.")]))
    assert isinstance(refusal, RefusedError)
    assert refusal.code == "endpoint_unreachable"
