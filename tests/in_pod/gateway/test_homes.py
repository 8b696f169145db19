"""A request finds the pool that takes it, in front of front ends that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from in_pod.gateway import first_answer
from in_pod.gateway.admission import Admission
from in_pod.gateway.asgi_types import Message, Send
from in_pod.gateway.asking import SilentError, UnreachableError
from in_pod.gateway.first_answer import answer, estimate
from in_pod.gateway.refusal import RefusedError
from in_pod.gateway.state import Why
from tests.in_pod.gateway.policies import consumer, pool
from tests.in_pod.gateway.test_admission import Played

A, B = "a", "b"
POSTER, OTHER = "poster", "other"
HOME, SECOND = "home", "second"
GONE = UnreachableError("nothing listens there")
CONSUMERS = {POSTER: consumer(A, B), OTHER: consumer(A, B)}
FAILED = (500, "unspecific error: upstream command exited prematurely")


@dataclass
class Pools:
    """Two pools, each of which serves one of two models at a time."""

    home: Played = field(default_factory=Played)
    second: Played = field(default_factory=Played)
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Pool -> what it answers, the last one for ever (default: 200)."""
    asked: list[str] = field(default_factory=list)
    """The pools that got a request."""
    admissions: list[Admission] = field(default_factory=list)
    model: str = A

    def admit(self) -> list[Admission]:
        if not self.admissions:
            for name, played in ((HOME, self.home), (SECOND, self.second)):

                async def why(played: Played = played) -> Why:
                    return played.why

                self.admissions.append(
                    Admission(
                        pool=pool({A: 8_000, B: 5_000}, CONSUMERS, name=name),
                        front_end=played,
                        why=why,
                        counts=played,
                        clock=self.home.clock,
                    )
                )
        return self.admissions

    def forget_what_was_before(self) -> None:
        """Let the protection pass of what was loaded when the gateway started."""
        self.admit()
        self.home.now += 1_000

    async def call(self, name: str, send: Send) -> None:
        self.asked.append(name)
        played = {HOME: self.home, SECOND: self.second}[name]
        left = self.answers.get(name, [(200, "hi")])
        status, text = left.pop(0) if len(left) > 1 else left[0]
        if status == 200:
            played.loaded = (self.model,)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": text.encode(), "more_body": False})

    async def ask(self, model: str = A, name: str = POSTER) -> str:
        """Ask; return the pool that answered."""
        sent: list[Message] = []
        self.model = model

        async def send(message: Message) -> None:
            sent.append(message)

        await answer(self.admit(), name, model, self.call, send)
        assert sent[0]["status"] == 200
        return self.asked[-1]


def run(pools: Pools, test: Callable[[Pools], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(pools)

    asyncio.run(main())


async def refused(pools: Pools, model: str = A, name: str = POSTER) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        await pools.ask(model, name)
    return raised.value


def test_the_home_answers_and_the_second_home_is_not_even_looked_at() -> None:
    async def test(pools: Pools) -> None:
        assert await pools.ask() == HOME
        assert await pools.ask() == HOME
        assert pools.second.looks == 0

    run(Pools(), test)


@pytest.mark.parametrize(
    "home",
    [
        Played(fails=GONE),
        Played(used_mib=14_000),
    ],
    ids=["unreachable", "card in use"],
)
def test_the_second_home_answers_where_the_home_cannot(home: Played) -> None:
    async def test(pools: Pools) -> None:
        assert await pools.ask() == SECOND
        assert pools.asked == [SECOND]
        # It was answered, so nobody was refused.
        assert not home.counted

    run(Pools(home=home), test)


def test_the_second_home_answers_where_others_use_the_home() -> None:
    async def test(pools: Pools) -> None:
        async with pools.admit()[0].of(OTHER, B):
            assert await pools.ask(A, POSTER) == SECOND
        assert pools.asked == [SECOND]

    run(Pools(), test)


def test_the_second_home_answers_where_the_load_fails() -> None:
    async def test(pools: Pools) -> None:
        assert await pools.ask() == SECOND
        assert pools.asked == [HOME, SECOND]

    run(Pools(answers={HOME: [FAILED]}), test)


@pytest.mark.parametrize("status", [200, 400, 404, 500, 504])
def test_any_other_answer_of_the_home_is_the_answer(status: int) -> None:
    async def test(pools: Pools) -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await answer(pools.admit(), POSTER, A, pools.call, send)
        assert sent[0]["status"] == status
        assert pools.asked == [HOME]

    run(Pools(answers={HOME: [(status, "something else")]}), test)


def test_where_no_home_takes_it_the_home_s_reason_and_the_shortest_wait_are_said() -> None:
    home = Played(fails=GONE, why=Why(reason="it warms up", retry_after_s=41))
    second = Played(fails=GONE, why=Why(reason="it failed", retry_after_s=7))

    async def test(pools: Pools) -> None:
        refusal = await refused(pools)
        assert refusal.code == "endpoint_unreachable"
        assert refusal.facts["holder"] == "it warms up"
        assert refusal.retry_after_s == 7
        assert str(refusal).endswith("the endpoint does not answer: it warms up. Retry in 7 s")
        assert not pools.asked
        assert home.counted == [(POSTER, A, "endpoint_unreachable")]
        assert not second.counted

    run(Pools(home=home, second=second), test)


def test_a_failed_load_is_the_home_s_reason_though_the_second_home_has_another() -> None:
    async def test(pools: Pools) -> None:
        refusal = await refused(pools)
        assert (refusal.code, refusal.facts["failure"]) == ("load_failed", "exit")
        assert pools.asked == [HOME]

    run(Pools(second=Played(fails=GONE), answers={HOME: [FAILED]}), test)


def test_a_model_stays_at_its_second_home_while_its_home_would_have_to_end_another() -> None:
    async def test(pools: Pools) -> None:
        pools.forget_what_was_before()
        # B is at home, and nobody's any more: the home might end it.
        assert await pools.ask(A) == SECOND
        assert pools.home.loaded == (B,)
        # It has room again.
        pools.home.loaded, pools.home.now = (), pools.home.now + 10
        assert await pools.ask(A) == HOME

    run(Pools(home=Played(loaded=(B,)), second=Played(loaded=(A,))), test)


def test_a_home_ends_a_model_for_one_that_is_loaded_nowhere() -> None:
    async def test(pools: Pools) -> None:
        pools.forget_what_was_before()
        assert await pools.ask(A) == HOME

    run(Pools(home=Played(loaded=(B,)), second=Played(loaded=(B,))), test)


def test_a_second_home_that_refuses_leaves_the_home_to_be_asked() -> None:
    async def test(pools: Pools) -> None:
        pools.forget_what_was_before()
        assert await pools.ask(A) == HOME
        assert pools.asked == [SECOND, HOME]

    run(
        Pools(home=Played(loaded=(B,)), second=Played(loaded=(A,)), answers={SECOND: [FAILED]}),
        test,
    )


def test_a_home_that_answers_again_takes_requests_again() -> None:
    async def test(pools: Pools) -> None:
        assert await pools.ask() == SECOND
        pools.home.fails, pools.home.now = None, pools.home.now + 10
        assert await pools.ask() == HOME
        assert pools.second.loaded == (A,)

    run(Pools(home=Played(fails=GONE)), test)


def test_many_at_once_load_a_model_at_one_home() -> None:
    async def test(pools: Pools) -> None:
        asked = await asyncio.gather(*(pools.ask(A, name) for name in (POSTER, OTHER) * 20))
        assert set(asked) == {SECOND}

    run(Pools(home=Played(fails=GONE, answers_in=0.01), second=Played(answers_in=0.01)), test)


def test_a_home_that_is_silent_is_still_the_home() -> None:
    async def test(pools: Pools) -> None:
        assert await pools.ask() == HOME

    run(Pools(home=Played(fails=SilentError("slow"))), test)


def test_a_full_front_end_is_asked_again_and_no_other_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first_answer, "_PAUSES_S", (0.0, 0.0, 0.0))

    async def test(pools: Pools) -> None:
        assert await pools.ask() == HOME
        assert pools.asked == [HOME] * 3

    run(Pools(answers={HOME: [(429, "full"), (429, "full"), (200, "hi")]}), test)


def test_an_estimate_is_the_first_that_any_home_gives() -> None:
    async def test(pools: Pools) -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await estimate((HOME, SECOND), pools.call, send)
        assert sent[0]["status"] == 200
        sent.clear()
        pools.answers[SECOND] = [(502, "gone too")]
        await estimate((HOME, SECOND), pools.call, send)
        assert [it["status"] for it in sent if "status" in it] == [502]

    run(Pools(answers={HOME: [(500, "gone")]}), test)


def test_each_pool_has_books_of_its_own() -> None:
    async def test(pools: Pools) -> None:
        async with pools.admit()[1].of(OTHER, B):
            assert await pools.ask(A, POSTER) == HOME

    run(Pools(), test)
