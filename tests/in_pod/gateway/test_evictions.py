"""Which models the front ends end, as tests/real/gateway sees the real ones do."""

from __future__ import annotations

import pytest

from in_pod.gateway.evictions import evictions
from in_pod.gateway.policy import Card, Combination


def card(sets: tuple[tuple[str, ...], ...] = (), models_max: int = 1) -> Card:
    return Card(usable_mib=1, tenants=(), sets=sets, models_max=models_max)


@pytest.mark.parametrize(
    ("sets", "running", "ended"),
    [
        ((), (), ()),
        ((), ("m",), ()),
        ((), ("a",), ("a",)),
        ((), ("a", "b"), ("a", "b")),
        ((("a", "m"),), ("a",), ()),
        ((("a", "m"),), ("a", "b"), ("b",)),
        ((("a", "b"),), ("a", "b"), ("a", "b")),
        # Equally cheap: the first set wins.
        ((("a", "m"), ("b", "m")), ("a", "b"), ("b",)),
        ((("b", "m"), ("a", "m")), ("a", "b"), ("a",)),
        # A later set that ends fewer wins over an earlier one.
        ((("a", "m"), ("b", "c", "m")), ("a", "b", "c"), ("a",)),
        ((("a", "b", "m"),), ("m", "a"), ()),
    ],
)
def test_llama_swap_ends_what_the_cheapest_set_leaves_out(
    sets: tuple[tuple[str, ...], ...], running: tuple[str, ...], ended: tuple[str, ...]
) -> None:
    assert evictions("m", running, front_end="llama-swap", card=card(sets)) == ended


@pytest.mark.parametrize(
    ("models_max", "running", "busy", "ended"),
    [
        (1, (), (), ()),
        (1, ("m",), (), ()),
        (1, ("a",), (), ("a",)),
        (1, ("a",), ("a",), ("a",)),
        (2, ("a",), (), ()),
        (2, ("a", "b"), (), ("b",)),
        (2, ("a", "b"), ("b",), ("a",)),
        (2, ("a", "b"), ("a", "b"), ("b",)),
        (3, ("a", "b", "new"), (), ("new",)),
        (2, ("a", "b", "new"), (), ("new", "b")),
    ],
)
def test_the_router_ends_the_idle_model_used_longest_ago(
    models_max: int, running: tuple[str, ...], busy: tuple[str, ...], ended: tuple[str, ...]
) -> None:
    assert (
        evictions(
            "m",
            running,
            front_end="llama-server",
            card=card(models_max=models_max),
            busy=busy,
            last_used={"a": 2.0, "b": 1.0},
        )
        == ended
    )


CARDS = Card(
    usable_mib=1,
    tenants=(),
    sets=(),
    models_max=1,
    count=2,
    combinations=(
        Combination(split=(), choices=((("a",), ("b",)), (("c",), ("d", "e")))),
        Combination(split=("both",), choices=((("a",),),)),
    ),
)


@pytest.mark.parametrize(
    ("model", "running", "ended"),
    [
        ("a", ("b", "c"), ("b",)),
        ("a", ("b", "d", "e"), ("b",)),
        ("c", ("a", "d", "e"), ("d", "e")),
        ("d", ("a", "e"), ()),
        ("both", ("a", "c"), ("c",)),
        ("both", ("b", "d"), ("b", "d")),
        ("c", ("both", "a"), ("both",)),
        ("a", ("both", "c"), ("both",)),
        ("a", ("both", "b"), ("b",)),
        ("unknown", ("a", "c"), ("a", "c")),
    ],
)
def test_each_card_keeps_what_it_may(
    model: str, running: tuple[str, ...], ended: tuple[str, ...]
) -> None:
    assert evictions(model, running, front_end="llama-swap", card=CARDS) == ended
