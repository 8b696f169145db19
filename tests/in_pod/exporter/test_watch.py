"""What the exporter makes of events, with a clock that the test sets."""

from __future__ import annotations

import random

import pytest

from in_pod.exporter.contract import ONLY_CARD, OTHER
from in_pod.exporter.plan import Plan
from in_pod.exporter.requests import Answer
from in_pod.exporter.series import exposition
from in_pod.exporter.watch import Flying, Watch
from tests.in_pod.exporter.exposition import Samples, parse

CHAT = "/v1/chat/completions"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(plan: Plan, clock: Clock) -> Watch:
    watch = Watch(plan, clock)
    watch.connected("v250")
    watch.model_states([("eyes", "stopped"), ("another", "stopped")])
    return watch


def samples(watch: Watch) -> Samples:
    return parse(exposition(watch.series.families()))


def came(id: str, model: str = "eyes", *, elapsed_s: float = 0, answers: bool = False) -> Flying:
    return Flying(id=id, model=model, path=CHAT, elapsed_s=elapsed_s, is_answered=answers)


def answer(seconds: float, *, model: str = "eyes", status: int = 200, **more: object) -> Answer:
    fields: dict[str, object] = {
        "model": model,
        "path": CHAT,
        "status": status,
        "media_type": "application/json",
        "seconds": seconds,
        "prompt_tokens": 21,
        "cached_tokens": 0,
        "generated_tokens": 8,
        "prompt_per_second": 900.0,
        "generated_per_second": 33.0,
    }
    return Answer(**fields | more)  # type: ignore[arg-type]


def load(watch: Watch, clock: Clock, model: str, seconds: float) -> None:
    watch.model_states([(model, "starting")])
    clock.now += seconds
    watch.model_states([(model, "ready")])


def test_a_cold_request_waits_and_is_then_answered(watch: Watch, clock: Clock) -> None:
    watch.request(came("1"))
    load(watch, clock, "eyes", 40)
    clock.now += 3
    watch.request(came("1", elapsed_s=43, answers=True))
    watch.request_ended("1")
    watch.answers([answer(43)])
    found = samples(watch)
    wait, reply = "llama_swap_request_wait_seconds", "llama_swap_request_answer_seconds"
    assert found.value(f"{wait}_sum", model="eyes", outcome="ready") == 40
    assert found.value(f"{reply}_sum", model="eyes", start="cold") == 3
    assert found.value(f"{reply}_count", model="eyes", start="warm") == 0
    assert found.value("llama_swap_swap_seconds_sum", model="eyes") == 40
    (swap,) = watch.seen().swaps
    assert (swap.model, swap.seconds, swap.outcome, swap.waited) == ("eyes", 40, "ready", 1)


def test_a_warm_request_does_not_wait(watch: Watch, clock: Clock) -> None:
    load(watch, clock, "eyes", 1)
    watch.request(came("1"))
    clock.now += 2
    watch.request_ended("1")
    watch.answers([answer(2)])
    found = samples(watch)
    assert sum(found.series("llama_swap_request_wait_seconds_count").values()) == 0
    warm = {"model": "eyes", "start": "warm"}
    assert found.value("llama_swap_request_answer_seconds_sum", **warm) == 2


def test_a_request_that_is_queued_behind_a_swap_is_cold(watch: Watch, clock: Clock) -> None:
    """llama-swap ends no model that answers: what is in flight when it ends was queued."""
    load(watch, clock, "eyes", 1)
    watch.request(came("1", "another"))
    watch.request(came("2", "eyes"))
    watch.model_states([("eyes", "stopping")])
    clock.now += 0.5
    watch.model_states([("eyes", "stopped"), ("another", "starting")])
    clock.now += 10
    watch.model_states([("another", "ready")])
    assert watch.seen().waiting == {"eyes": 1, "another": 0}
    watch.request_ended("1")
    watch.model_states([("another", "stopping")])
    watch.model_states([("another", "stopped"), ("eyes", "starting")])
    clock.now += 20
    watch.model_states([("eyes", "ready")])
    found = samples(watch)
    name = "llama_swap_request_wait_seconds_sum"
    assert found.value(name, model="another", outcome="ready") == 10.5
    assert found.value(name, model="eyes", outcome="ready") == 30.5
    assert [swap.seconds for swap in watch.seen().swaps] == [1, 10.5, 20]


def test_an_answer_that_has_begun_is_not_made_cold_by_the_end_of_its_model(
    watch: Watch, clock: Clock
) -> None:
    load(watch, clock, "eyes", 1)
    watch.request(came("1"))
    watch.request(came("1", answers=True))
    watch.model_states([("eyes", "stopped")])
    assert watch.seen().waiting == {"eyes": 0, "another": 0}


def test_a_swap_begins_with_the_stop_of_the_previous_model(watch: Watch, clock: Clock) -> None:
    load(watch, clock, "eyes", 1)
    watch.model_states([("eyes", "stopping")])
    clock.now += 5
    # Two changes that are told at once, in the order of the names.
    watch.model_states([("another", "starting"), ("eyes", "stopped")])
    clock.now += 7
    watch.model_states([("another", "ready")])
    assert watch.seen().swaps[-1].seconds == 12
    # An idle model that was unloaded long ago has nothing to do with it.
    watch.model_states([("another", "stopping")])
    watch.model_states([("another", "stopped")])
    clock.now += 60
    load(watch, clock, "eyes", 3)
    assert watch.seen().swaps[-1].seconds == 3


@pytest.mark.parametrize("told_first", ["state", "reason"])
def test_a_failed_load_has_the_class_that_the_logs_tell(
    told_first: str, watch: Watch, clock: Clock
) -> None:
    watch.request(came("1"))
    watch.model_states([("eyes", "starting")])
    watch.engine_log("cudaMalloc failed: out of memory\n")
    clock.now += 4
    reason = "upstream command exited prematurely"
    if told_first == "reason":
        watch.load_failed("eyes", reason)
    watch.model_states([("eyes", "stopped")])
    if told_first == "state":
        watch.load_failed("eyes", reason)
    watch.request_ended("1")
    clock.now += 10
    watch.settle()
    found = samples(watch)
    failed = "llama_swap_failed_loads_total"
    assert found.value(failed, model="eyes", **{"class": "memory"}) == 1
    assert sum(found.series(failed).values()) == 1
    assert found.value("llama_swap_swaps_total", model="eyes", outcome="failed") == 1
    wait = "llama_swap_request_wait_seconds_sum"
    assert found.value(wait, model="eyes", outcome="failed") == 4
    (swap,) = watch.seen().swaps
    assert (swap.seconds, swap.outcome, swap.waited) == (4, "memory", 1)


def test_a_load_that_fails_at_once_is_told_by_its_reason_alone(watch: Watch) -> None:
    """llama-swap sends the state that is, so a start that fails at once is never seen."""
    watch.load_failed("eyes", "failed to start command 'x': no such file or directory")
    found = samples(watch)
    assert found.value("llama_swap_failed_loads_total", model="eyes", **{"class": "file"}) == 1


def test_a_failed_load_without_a_reason_is_counted_all_the_same(
    watch: Watch, clock: Clock
) -> None:
    watch.model_states([("eyes", "starting")])
    clock.now += 4
    watch.model_states([("eyes", "stopped")])
    watch.settle()
    assert not watch.seen().swaps
    clock.now += 3
    watch.settle()
    (swap,) = watch.seen().swaps
    assert (swap.outcome, swap.seconds) == ("unknown", 4)


def test_a_first_state_changes_none_that_is_known(plan: Plan, clock: Clock) -> None:
    """The router's list is ahead of events that are on their way."""
    watch = Watch(plan, clock)
    watch.model_states([("eyes", "starting")])
    watch.first_states([("eyes", "ready"), ("another", "stopped")])
    assert (watch.state_of("eyes"), watch.state_of("another")) == ("starting", "stopped")
    assert not watch.seen().swaps


def test_a_load_that_somebody_ended_has_not_failed(watch: Watch) -> None:
    watch.model_states([("eyes", "starting")])
    watch.load_failed("eyes", "aborted")
    watch.model_states([("eyes", "stopped")])
    found = samples(watch)
    assert sum(found.series("llama_swap_failed_loads_total").values()) == 0
    assert found.value("llama_swap_swaps_total", model="eyes", outcome="aborted") == 1


def test_the_log_of_an_earlier_load_says_nothing_of_a_later_one(
    watch: Watch, clock: Clock
) -> None:
    watch.engine_log("cudaMalloc failed: out of memory\n")
    watch.model_states([("eyes", "starting")])
    watch.load_failed("eyes", "upstream command exited prematurely")
    (swap,) = watch.seen().swaps
    assert swap.outcome == "crash"


def test_after_a_lost_connection_nothing_is_known_and_nothing_is_invented(
    watch: Watch, clock: Clock
) -> None:
    load(watch, clock, "eyes", 1)
    watch.request(came("1"))
    watch.model_states([("another", "starting")])
    watch.disconnected("connection refused")
    seen = watch.seen()
    assert {state.state for state in seen.states.values()} == {"unknown"}
    assert seen.in_flight == {"eyes": 0, "another": 0}
    clock.now += 60
    watch.settle()
    watch.connected("v250")
    # What loads and waits began before anybody looked again.
    watch.model_states([("eyes", "ready"), ("another", "stopped")])
    watch.requests([came("1", elapsed_s=50)])
    clock.now += 5
    watch.request_ended("1")
    watch.answers([answer(55)])
    found = samples(watch)
    assert found.value("llama_swap_exporter_reconnects_total") == 1
    assert sum(found.series("llama_swap_swap_seconds_count").values()) == 1
    assert sum(found.series("llama_swap_request_answer_seconds_count").values()) == 0
    assert found.value("llama_swap_answers_total", model="eyes", status="200") == 1
    assert watch.seen().states["eyes"].since is None


def test_a_list_of_the_requests_in_flight_ends_the_others_and_changes_none(
    watch: Watch, clock: Clock
) -> None:
    """llama-swap sends it again when it had too many changes to tell."""
    load(watch, clock, "eyes", 1)
    watch.request(came("1"))
    watch.request(came("2"))
    clock.now += 5
    watch.requests([came("1", elapsed_s=5)])
    assert watch.seen().in_flight == {"eyes": 1, "another": 0}
    clock.now += 1
    watch.request_ended("1")
    watch.answers([answer(6), answer(5)])
    warm = {"model": "eyes", "start": "warm"}
    assert samples(watch).value("llama_swap_request_answer_seconds_sum", **warm) == 11


def test_names_are_folded_to_the_ids_of_the_plan(watch: Watch, clock: Clock) -> None:
    watch.request(came("1", "second-name"))
    watch.request(came("2", "nobody's"))
    assert watch.seen().in_flight == {"eyes": 0, "another": 1, OTHER: 1}
    # An unknown model is refused, and loads nothing.
    assert watch.seen().waiting == {"eyes": 0, "another": 1}
    watch.answers([answer(1, model=f"hostile-{number}", status=404) for number in range(50)])
    found = samples(watch)
    models = {dict(labels)["model"] for labels in found.series("llama_swap_answers_total")}
    assert models == {"eyes", "another", OTHER}
    assert found.value("llama_swap_answers_total", model=OTHER, status="404") == 50


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, "200", id="complete"),
        pytest.param({"media_type": ""}, "aborted", id="the client left while it waited"),
        pytest.param(
            {"media_type": "text/event-stream", "prompt_tokens": 0, "generated_tokens": 0},
            "incomplete",
            id="the llama-server was killed in the stream",
        ),
        pytest.param({"media_type": "text/event-stream"}, "200", id="a stream with its end"),
        pytest.param({"status": 502}, "502", id="bad gateway"),
        pytest.param({"status": 418}, "4xx", id="a rare status"),
        pytest.param({"status": 999}, OTHER, id="no status"),
        pytest.param({"status": -1}, OTHER, id="a negative one"),
    ],
)
def test_an_answer_is_told_by_what_the_client_got(
    fields: dict[str, object], expected: str, watch: Watch
) -> None:
    watch.answers([answer(1, **fields)])  # type: ignore[arg-type]
    found = samples(watch)
    assert found.value("llama_swap_answers_total", model="eyes", status=expected) == 1
    assert (watch.seen().last_ok is not None) == (expected == "200")


def test_answers_find_their_requests_whatever_the_order(watch: Watch, clock: Clock) -> None:
    """Rows and ends come apart, and in another order; durations tell which belong together."""
    load(watch, clock, "eyes", 1)
    random_ = random.Random(3)
    started = clock.now
    durations = [random_.uniform(1, 60) for _ in range(40)]
    for number in range(40):
        watch.request(came(str(number)))
    for number in sorted(range(40), key=durations.__getitem__):
        clock.now = started + durations[number]
        watch.request_ended(str(number))
    # Every fifth failed, after as long.
    rows = [
        answer(seconds - 0.002, status=500 if number % 5 == 0 else 200)
        for number, seconds in enumerate(durations)
    ]
    random_.shuffle(rows)
    watch.answers(rows)
    found = samples(watch)
    name, warm = "llama_swap_request_answer_seconds", {"model": "eyes", "start": "warm"}
    assert found.value(f"{name}_count", **warm) == 32
    answered = [seconds - 0.002 for number, seconds in enumerate(durations) if number % 5]
    assert found.value(f"{name}_sum", **warm) == pytest.approx(sum(answered))


def test_an_end_that_is_told_late_does_not_make_the_answer_longer(
    watch: Watch, clock: Clock
) -> None:
    load(watch, clock, "eyes", 1)
    watch.request(came("1"))
    clock.now += 4.5
    watch.request_ended("1")
    watch.answers([answer(3)])
    warm = {"model": "eyes", "start": "warm"}
    assert samples(watch).value("llama_swap_request_answer_seconds_sum", **warm) == 3


def test_the_requests_that_are_followed_are_limited(watch: Watch) -> None:
    for number in range(3000):
        watch.request(came(str(number)))
    assert watch.seen().in_flight["eyes"] == 2000
    found = samples(watch)
    assert found.value("llama_swap_exporter_dropped_total", what="request") == 1000


def test_only_the_last_twenty_swaps_are_kept(watch: Watch, clock: Clock) -> None:
    for number in range(30):
        load(watch, clock, "eyes", number)
        watch.model_states([("eyes", "stopped")])
        clock.now += 60
    assert [swap.seconds for swap in watch.seen().swaps] == list(range(10, 30))


def test_what_others_hold_is_told_once_a_swap_has_settled(watch: Watch, clock: Clock) -> None:
    mib = 2**20
    load(watch, clock, "eyes", 1)
    watch.gpu(14000 * mib, 15360 * mib)
    card = watch.seen().cards[ONLY_CARD]
    assert (card.used, card.others) == (14000 * mib, None)
    clock.now += 20
    watch.gpu(14000 * mib, 15360 * mib)
    card = watch.seen().cards[ONLY_CARD]
    assert card.others == (14000 - 6744) * mib
    watch.model_states([("eyes", "stopped")])
    watch.gpu(14000 * mib, 15360 * mib)
    card = watch.seen().cards[ONLY_CARD]
    assert card.others == (14000 - 6744) * mib
    clock.now += 20
    watch.gpu(12000 * mib, 15360 * mib)
    card = watch.seen().cards[ONLY_CARD]
    assert card.others == 12000 * mib


def test_what_others_hold_is_told_of_each_card(two_cards: Plan, clock: Clock) -> None:
    mib = 2**20
    watch = Watch(two_cards, clock)
    load(watch, clock, "eyes", 1)
    load(watch, clock, "another", 1)
    clock.now += 20
    watch.gpu(6000 * mib, 15360 * mib, "0")
    watch.gpu(9000 * mib, 15360 * mib, "1")
    others = {card: reading.others for card, reading in watch.seen().cards.items()}
    assert others == {"0": (6000 - 5000) * mib, "1": (9000 - 1744 - 4274) * mib}
