"""What holds for every decision, tried on random policies and moments."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from in_pod.gateway.card import Others, Unknown
from in_pod.gateway.decision import Refusal, Snapshot, decide
from in_pod.gateway.evictions import evictions
from in_pod.gateway.policy import Combination, Pool
from tests.fakes.seeds import seeds
from tests.in_pod.gateway.policies import consumer, pool

A, B, C, D = "a", "b", "c", "d"
POSTER, HOME = "poster", "home"
NONE = Others(mib={0: 0}, age_s=1, certain=True)


@dataclass(frozen=True, kw_only=True)
class Moment:
    pool: Pool
    snapshot: Snapshot
    consumer: str
    model: str

    def decide(self) -> Refusal | None:
        return decide(self.pool, self.snapshot, self.consumer, self.model)

    @property
    def ended(self) -> tuple[str, ...]:
        return evictions(
            self.model,
            self.snapshot.running,
            front_end=self.pool.endpoint.front_end,
            card=self.pool.card,
            busy=self.snapshot.users.keys(),
            last_used=self.snapshot.last_used,
        )


def moments() -> Iterator[Moment]:
    for seed in seeds(2_000):
        pick = random.Random(seed)
        models = [A, B, C, D][: pick.randint(1, 4)]
        users = [POSTER, HOME, "third"]
        sets = [
            tuple(pick.sample(models, pick.randint(2, len(models))))
            for _ in range(pick.randint(0, 3))
            if len(models) > 1
        ]
        running = pick.sample(models, pick.randint(0, len(models)))
        cards = pick.randint(1, 3)
        of = {model: pick.sample(range(cards), pick.randint(1, cards)) for model in models}
        on_card = [tuple(it for it in models if of[it] == [card]) for card in range(cards)]
        combinations = [
            Combination(
                split=tuple(it for it in models if len(of[it]) > 1 and pick.random() < 0.5),
                choices=tuple(
                    tuple(tuple(pick.sample(ids, pick.randint(1, len(ids)))) for _ in range(2))
                    for ids in on_card
                    if ids
                ),
            )
            for _ in range(pick.randint(0, 2))
        ]
        yield Moment(
            pool=pool(
                {model: {card: pick.randint(1, 9_000) for card in of[model]} for model in models},
                {
                    user: consumer(*models, may_evict=pick.random() < 0.3, protected_s=60)
                    for user in users
                },
                front_end=pick.choice(("llama-swap", "llama-server")),
                sets=sets if cards == 1 else (),
                models_max=pick.randint(1, 3),
                cards=cards,
                combinations=combinations if cards > 1 else (),
            ),
            snapshot=Snapshot(
                running=running,
                users={
                    model: frozenset(pick.sample(users, pick.randint(1, 2)))
                    for model in running
                    if pick.random() < 0.4
                },
                protected={
                    model: {pick.choice([None, *users]): pick.uniform(0.1, 60)}
                    for model in running
                    if pick.random() < 0.4
                },
                others=pick.choice(
                    (
                        Others(
                            mib={card: pick.uniform(0, 15_000) for card in range(cards)},
                            age_s=2,
                            certain=pick.random() < 0.5,
                        ),
                        Unknown(reason="no gauges"),
                    )
                ),
                last_used={model: pick.uniform(0, 100) for model in running},
            ),
            consumer=pick.choice(users),
            model=pick.choice(models),
        )


def test_no_admitted_load_overbooks_the_card() -> None:
    loads = 0
    for moment in moments():
        others, running = moment.snapshot.others, moment.snapshot.running
        if moment.model in running or isinstance(others, Unknown) or moment.decide():
            continue
        loads += 1
        after = {*running, moment.model}.difference(moment.ended)
        for card, others_mib in others.mib.items():
            if card in moment.pool.vram_mib[moment.model]:
                needed = moment.pool.loaded_mib(after, card)
                # A gauge shows a few MiB where no program is on the card.
                assert needed + others_mib <= moment.pool.card.usable_mib + 16, moment
    assert loads > 100


def test_nobody_without_may_evict_ends_a_model_of_others() -> None:
    loads = 0
    for moment in moments():
        if moment.pool.consumers[moment.consumer].may_evict or moment.decide():
            continue
        loads += 1
        for model in moment.ended:
            users = {
                *moment.snapshot.users.get(model, ()),
                *moment.snapshot.protected.get(model, ()),
            }
            assert users <= {moment.consumer}, moment
    assert loads > 100


def test_a_loaded_model_always_passes() -> None:
    for moment in moments():
        if moment.model in moment.snapshot.running:
            assert moment.decide() is None, moment


def test_without_gauges_memory_refuses_nobody() -> None:
    for moment in moments():
        blind = replace(
            moment, snapshot=replace(moment.snapshot, others=Unknown(reason="old gauges"))
        )
        refusal = blind.decide()
        assert refusal is None or refusal.code == "model_in_use", blind


def test_whatever_is_refused_is_refused_for_a_reason_that_holds() -> None:
    refused = 0
    for moment in moments():
        refusal = moment.decide()
        if refusal is None:
            continue
        refused += 1
        assert refusal.retry_after_s >= 1
        if refusal.code == "card_in_use":
            assert refusal.mib_free is not None
            assert refusal.mib_free < refusal.mib_needed
        else:
            assert not moment.pool.consumers[moment.consumer].may_evict
            assert any(model in refusal.holder for model in moment.ended)
    assert refused > 100


TWO = pool({A: 8_000, B: 5_000}, {POSTER: consumer(A), HOME: consumer(B)})


def snapshot(**fields: object) -> Snapshot:
    default = {"running": (A,), "users": {}, "protected": {}, "others": NONE}
    return Snapshot(**{**default, **fields})  # type: ignore[arg-type]


def test_a_model_in_use_is_named_with_its_consumer() -> None:
    refusal = decide(TWO, snapshot(users={A: frozenset({POSTER})}), HOME, B)
    assert refusal == Refusal(
        code="model_in_use",
        reason="loading it would end a model that others use",
        holder="model a of consumer poster, in use",
        retry_after_s=60,
        mib_needed=5_000,
        mib_free=7_000,
    )


def test_a_protected_model_is_named_with_its_seconds() -> None:
    refusal = decide(TWO, snapshot(protected={A: {POSTER: 41.2}}), HOME, B)
    assert refusal is not None
    assert refusal.holder == "model a of consumer poster, protected for 42 s more"
    assert refusal.retry_after_s == 42


def test_a_model_of_before_the_start_is_named_as_one() -> None:
    refusal = decide(TWO, snapshot(protected={A: {None: 9.5}}), HOME, B)
    assert refusal is not None
    assert refusal.holder == "model a loaded before the gateway started, protected for 10 s more"


def test_of_two_in_the_way_the_one_that_stays_longer_is_named() -> None:
    refusal = decide(
        TWO, snapshot(users={A: frozenset({POSTER})}, protected={A: {None: 300.0}}), HOME, B
    )
    assert refusal is not None
    assert refusal.retry_after_s == 300


def test_a_consumer_replaces_its_own_model() -> None:
    own = replace(TWO, consumers={POSTER: consumer(A, B)})
    used = snapshot(users={A: frozenset({POSTER})}, protected={A: {POSTER: 50.0}})
    assert decide(own, used, POSTER, B) is None


def test_memory_that_another_program_holds_is_said_in_mib() -> None:
    others = Others(mib={0: 11_000}, age_s=3.4, certain=True)
    refusal = decide(TWO, snapshot(others=others), HOME, B)
    assert refusal == Refusal(
        code="card_in_use",
        reason="it needs 5,000 MiB and 4,000 MiB are free, 3 s ago",
        holder="another program holds 11,000 MiB",
        retry_after_s=15,
        mib_needed=5_000,
        mib_free=4_000,
    )


@pytest.mark.parametrize(("age_s", "retry_s"), [(0.2, 6), (4.0, 2), (59.0, 1)])
def test_a_gauge_that_may_be_wrong_is_tried_again_with_the_next(
    age_s: float, retry_s: int
) -> None:
    refusal = decide(
        TWO, snapshot(others=Others(mib={0: 11_000}, age_s=age_s, certain=False)), HOME, B
    )
    assert refusal is not None
    assert refusal.retry_after_s == retry_s


def test_a_model_that_stays_counts_with_its_memory() -> None:
    together = pool(
        {A: 8_000, B: 5_000, C: 3_000}, {POSTER: consumer(A, B, C)}, sets=[(A, B), (A, C)]
    )
    refusal = decide(
        together, snapshot(others=Others(mib={0: 3_000}, age_s=1, certain=True)), POSTER, B
    )
    assert refusal is not None
    assert "4,000 MiB are free beside a" in refusal.reason


CARDS = pool(
    {A: {0: 8_000}, B: {1: 8_000}, C: {0: 6_000, 1: 6_000}, D: {1: 5_000}},
    {POSTER: consumer(A, B, C, D), HOME: consumer(A, B, C, D)},
    cards=2,
    combinations=(
        Combination(split=(), choices=(((A,),), ((B,), (D,)))),
        Combination(split=(C,), choices=()),
    ),
)
FREE = Others(mib={0: 0, 1: 0}, age_s=1, certain=True)


def test_a_load_on_one_card_ends_no_model_of_another() -> None:
    used = snapshot(running=(A,), users={A: frozenset({POSTER})}, others=FREE)
    assert decide(CARDS, used, HOME, B) is None
    used = snapshot(running=(A, B), users={A: frozenset({POSTER})}, others=FREE)
    assert decide(CARDS, used, HOME, D) is None


def test_a_model_of_two_cards_ends_those_of_both() -> None:
    used = snapshot(running=(A, B), users={B: frozenset({POSTER})}, others=FREE)
    refusal = decide(CARDS, used, HOME, C)
    assert refusal is not None
    assert refusal.holder == "model b of consumer poster, in use"
    used = snapshot(running=(C,), users={C: frozenset({POSTER})}, others=FREE)
    assert decide(CARDS, used, HOME, A) is not None


def test_the_memory_of_two_cards_never_counts_as_one() -> None:
    # 14,912 MiB are free altogether, and no card has enough.
    others = Others(mib={0: 7_500, 1: 7_500}, age_s=1, certain=True)
    refusal = decide(CARDS, snapshot(running=(), others=others), HOME, A)
    assert refusal is not None
    assert refusal.reason == "it needs 8,000 MiB and 7,500 MiB are free on card 0, 1 s ago"
    assert (refusal.mib_needed, refusal.mib_free) == (8_000, 7_500)
    # One of its cards is free: that is not enough for a model on both.
    others = Others(mib={0: 0, 1: 9_500}, age_s=1, certain=True)
    refusal = decide(CARDS, snapshot(running=(), others=others), HOME, C)
    assert refusal is not None
    assert refusal.holder == "another program holds 9,500 MiB"
    assert "5,500 MiB are free on card 1" in refusal.reason


def test_a_full_card_refuses_no_model_of_another() -> None:
    others = Others(mib={0: 15_000, 1: 0}, age_s=1, certain=True)
    assert decide(CARDS, snapshot(running=(), others=others), HOME, B) is None
    assert decide(CARDS, snapshot(running=(), others=others), HOME, A) is not None


def test_only_models_of_the_same_card_are_beside_it() -> None:
    beside = replace(
        CARDS,
        card=replace(
            CARDS.card, combinations=(Combination(split=(), choices=(((A,),), ((B, D),))),)
        ),
    )
    others = Others(mib={0: 0, 1: 3_000}, age_s=1, certain=True)
    refusal = decide(beside, snapshot(running=(A, D), others=others), POSTER, B)
    assert refusal is not None
    assert "7,000 MiB are free on card 1 beside d" in refusal.reason
