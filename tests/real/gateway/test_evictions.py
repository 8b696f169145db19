"""What both front ends end for a model is what the gateway expects, request by request."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import httpx2
import pytest

from in_pod.gateway import policy
from in_pod.gateway.evictions import evictions
from in_pod.gateway.policy import Card
from llama_swap_config.fit.residency import Combination, Residents
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from ops.commands.serve import run as serve
from tests.real.gateway.gateway import model
from tests.real.serve.served import skip_without, store_of

MODELS = ("a", "b", "c", "d", "alone")
ONE_CARD = Residents(sets=(("a", "b"), ("b", "c", "d"), ("a", "c")), models_max=2)
TWO_CARDS = Residents(
    combinations=(
        Combination(split=(), choices=((("a",), ("b",)), (("c",), ("d", "alone")))),
        Combination(split=("b",), choices=((("c",), ("d",)),)),
    )
)


@pytest.mark.parametrize(
    ("front_end", "residents"),
    [("llama-swap", ONE_CARD), ("llama-swap", TWO_CARDS), ("llama-server", ONE_CARD)],
    ids=["llama-swap", "llama-swap, two cards", "llama-server"],
)
def test_a_front_end_ends_the_models_that_the_gateway_expects(
    front_end: FrontEndName, residents: Residents, tmp_path: Path
) -> None:
    skip_without(front_end)
    card = Card(
        usable_mib=0,
        tenants=(),
        sets=residents.sets,
        models_max=residents.models_max,
        combinations=tuple(
            policy.Combination(split=it.split, choices=it.choices) for it in residents.combinations
        ),
    )
    store = store_of(
        tuple(model(name, projector=None, image_max_tokens=None) for name in MODELS), tmp_path
    )
    served = serve.start(
        store, tmp_path, front_end=front_end, port=None, say=print, residents=residents
    )
    pick, clock, ended = random.Random(4), itertools.count(), []
    running: set[str] = set()
    last_used: dict[str, float] = {}
    try:
        # The router closes connections that it said it would keep.
        fresh = httpx2.Limits(max_keepalive_connections=0)
        with httpx2.Client(
            base_url=served.url, trust_env=False, timeout=60, limits=fresh
        ) as client:
            for _ in range(25):
                wanted = pick.choice(MODELS)
                expected = evictions(
                    wanted, running, front_end=front_end, card=card, last_used=last_used
                )
                body = {"model": wanted, "prompt": "hi", "max_tokens": 1}
                client.post("/v1/completions", json=body).raise_for_status()
                last_used[wanted] = next(clock)
                listed = client.get(FRONT_ENDS[front_end].residents_path).json()
                now = set(FRONT_ENDS[front_end].loaded(listed) or ())
                assert (running | {wanted}) - now == set(expected), (running, wanted)
                running = now
                ended.append(len(expected))
    finally:
        serve.stop(tmp_path)
    assert {0, 1} < set(ended) if front_end == "llama-swap" else {0, 1} == set(ended)
