"""What other programs hold: gauges and loaded models put together in the right order."""

from __future__ import annotations

import random

from in_pod.gateway.card import CardWatch, Others, Sample, Unknown
from tests.fakes.seeds import seeds
from tests.in_pod.gateway.policies import consumer, pool

A, B = "a", "b"
POOL = pool({A: 8_000, B: 5_000}, {"poster": consumer(A, B)})


def gauge(at: float, used_mib: float) -> Sample:
    return Sample(at=at, used_mib={0: used_mib})


def held(mib: float, *, age_s: float, certain: bool) -> Others:
    return Others(mib={0: mib}, age_s=age_s, certain=certain)


def watch() -> CardWatch:
    return CardWatch(pool=POOL)


def test_others_hold_what_the_loaded_models_leave() -> None:
    card = watch()
    card.look(0, {A: True}, gauge(-3, 9_000))
    card.look(1, {A: True}, gauge(0.5, 9_300))
    assert card.others(1) == held(mib=1_300, age_s=0.5, certain=True)


def test_models_that_use_less_than_planned_are_not_negative_others() -> None:
    card = watch()
    card.look(0, {A: True}, gauge(-1, 7_000))
    assert card.others(0) == held(mib=0, age_s=1, certain=False)


def test_the_first_gauge_is_judged_by_what_runs_now_but_is_not_certain() -> None:
    card = watch()
    card.look(100, {A: True}, gauge(97, 9_000))
    assert card.others(100) == held(mib=1_000, age_s=3, certain=False)


def test_a_gauge_from_before_a_swap_is_not_judged_by_the_models_after_it() -> None:
    card = watch()
    for now in (0.0, 1.0, 2.0):
        card.look(now, {A: True}, gauge(now - 0.5, 9_000))
    # B replaces A; the gauge still shows A.
    card.look(3, {A: False, B: False}, gauge(2.4, 9_000))
    card.look(4, {B: True}, gauge(2.4, 9_000))
    others = card.others(4)
    assert others == held(mib=1_000, age_s=2.5, certain=True)


def test_a_gauge_amid_a_load_is_not_judged() -> None:
    card = watch()
    card.look(0, {A: True}, gauge(-0.5, 8_000))
    card.look(1, {B: False}, gauge(0.5, 300))
    card.look(2, {B: True}, gauge(1.5, 2_500))
    # By the gauge before it, when A was loaded.
    assert card.others(2) == held(mib=0, age_s=2.5, certain=False)
    card.look(3, {B: True}, gauge(1.5, 2_500))
    assert card.others(3) == held(mib=0, age_s=3.5, certain=False)
    card.look(7, {B: True}, gauge(6.5, 7_000))
    assert card.others(7) == held(mib=2_000, age_s=0.5, certain=True)


def test_after_a_pause_with_the_same_models_the_newest_gauge_is_certain() -> None:
    card = watch()
    card.look(0, {A: True}, gauge(-0.5, 8_000))
    card.look(1, {A: True}, gauge(-0.5, 8_000))
    card.look(600, {A: True}, gauge(597, 14_000))
    assert card.others(600) == held(mib=6_000, age_s=3, certain=True)


def test_after_a_pause_with_other_models_the_newest_gauge_counts_and_is_not_certain() -> None:
    card = watch()
    card.look(0, {A: True}, gauge(-0.5, 8_000))
    card.look(1, {A: True}, gauge(0.5, 8_000))
    card.look(40, {}, gauge(37, 14_000))
    assert card.others(40) == held(mib=14_000, age_s=3, certain=False)


def test_after_a_pause_a_gauge_from_before_it_does_not_count() -> None:
    card = watch()
    card.look(0, {A: True}, gauge(-0.5, 8_000))
    card.look(1, {A: True}, gauge(0.5, 8_000))
    card.look(40, {B: False}, gauge(37, 14_000))
    assert card.others(40) == Unknown(reason="models load")


def test_an_old_gauge_says_nothing() -> None:
    card = watch()
    card.look(0, {}, gauge(-1, 9_000))
    card.look(70, {}, gauge(-1, 9_000))
    assert card.others(70) == Unknown(reason="old gauges")


def test_no_gauge_says_nothing() -> None:
    card = watch()
    card.look(0, {}, None)
    assert card.others(0) == Unknown(reason="no gauges")


def test_the_first_look_amid_a_load_says_nothing() -> None:
    card = watch()
    card.look(0, {A: False}, gauge(-1, 9_000))
    assert card.others(0) == Unknown(reason="models load")


def test_a_model_of_another_registry_makes_the_gauge_unreadable() -> None:
    card = watch()
    card.look(0, {}, gauge(-1, 100))
    card.look(1, {"foreign": True}, gauge(0.5, 9_000))
    assert card.others(1) == Unknown(reason="foreign model")
    card.look(1.5, {"foreign": True}, gauge(1.2, 9_000))
    assert card.others(1.5) == Unknown(reason="foreign model")
    card.look(2, {}, gauge(0.5, 9_000))
    assert card.others(2) == held(mib=100, age_s=3, certain=False)


def test_whatever_is_certain_is_what_others_held() -> None:
    """A card is played second by second, and looked at now and then."""
    certain = 0
    for seed in seeds(300):
        pick = random.Random(seed)
        card, running, others_mib = watch(), dict.fromkeys([A], True), 0.0
        taken, by_time = gauge(-1, 8_000.0), {-1.0: 0.0}
        for now in range(120):
            if pick.random() < 0.2:
                others_mib = pick.choice((0.0, 3_000.0, 9_000.0))
            if not all(running.values()):
                running = {model: True for model in running}
            elif pick.random() < 0.1:
                running = {pick.choice((A, B)): False}
            if now % 5 == 0:
                models = sum(
                    POOL.vram_mib[model][0] * (1 if ready else pick.random())
                    for model, ready in running.items()
                )
                taken = gauge(now - 0.1, models + others_mib)
                by_time[taken.at] = others_mib
                # Steady around the gauge: neither what runs nor what loads changed with it.
            card.look(now, running, taken)
            found = card.others(now)
            if isinstance(found, Others) and found.certain:
                certain += 1
                assert found.mib[0] in by_time.values(), (seed, now)
                assert found.mib[0] == by_time[round(now - found.age_s, 1)], (seed, now)
    assert certain > 1_000


def test_each_card_is_judged_by_the_models_that_are_on_it() -> None:
    card = CardWatch(
        pool=pool({A: {0: 8_000}, B: {0: 1_000, 1: 5_000}}, {"poster": consumer(A, B)}, cards=2)
    )
    card.look(0, {A: True, B: True}, Sample(at=-1, used_mib={0: 9_100, 1: 7_000}))
    others = card.others(0)
    assert isinstance(others, Others)
    assert others.mib == {0: 100, 1: 2_000}
