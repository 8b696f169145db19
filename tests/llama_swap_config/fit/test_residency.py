"""Which models may be on the card together, and the front ends' configuration for them."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card, CoTenant
from llama_swap_config.fit.residency import (
    ONE_AT_A_TIME,
    ONE_RESIDENT,
    AsManyAsFit,
    NamedSets,
    Residents,
    Sets,
    any_that_fit,
    models_max,
    resident_sets,
    totals_mib,
)
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import Listen
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.front_ends.router import ROUTER
from llama_swap_config.lock.locked import LockedModel
from tests.llama_swap_config.fit.shapes import (
    LIKELY,
    MINICPM,
    QWEN3_4B,
    QWEN3_8B,
    QWEN3VL_4B,
    QWEN3VL_8B,
    T4,
    on,
    text_model,
    with_q8_0_projector,
)

FRIGATE = CoTenant(name="frigate", peak_mib=2677)
IMMICH = CoTenant(name="immich-ml", peak_mib=1964)
IMMICH_SPIKE = CoTenant(name="immich-ml", peak_mib=6750)
CARDS = {
    "alone": replace(LIKELY, floor_mib=1536),
    "frigate": replace(LIKELY, floor_mib=1536, co_tenants=(FRIGATE,)),
    "idle": replace(LIKELY, floor_mib=1536, co_tenants=(FRIGATE, IMMICH)),
    "spike": replace(LIKELY, floor_mib=1536, co_tenants=(FRIGATE, IMMICH_SPIKE)),
}
TEXT_16K = text_model("qwen3-8b", QWEN3_8B, context=16384)
TEXT_8K = text_model("qwen3-8b", QWEN3_8B, context=8192)
VISION_8B = with_q8_0_projector(QWEN3VL_8B)
VISION_4B = with_q8_0_projector(QWEN3VL_4B)

TOGETHER: list[tuple[tuple[LockedModel, ...], int, dict[str, bool]]] = [
    ((TEXT_16K,), 6996, {"alone": True, "frigate": True, "idle": True, "spike": False}),
    ((VISION_4B,), 3778, {"alone": True, "frigate": True, "idle": True, "spike": True}),
    ((TEXT_16K, VISION_4B), 10774, {"alone": True, "frigate": False, "idle": False}),
    ((TEXT_8K, VISION_4B), 9614, {"alone": True, "frigate": True, "idle": False}),
    ((VISION_8B, VISION_4B), 10003, {"alone": True, "frigate": True, "idle": False}),
    ((TEXT_16K, VISION_8B), 13221, {"alone": True, "frigate": False, "idle": False}),
]


@pytest.mark.parametrize(("models", "mib", "fits"), TOGETHER)
def test_the_sets_of_a_shared_t4(
    models: tuple[LockedModel, ...], mib: int, fits: dict[str, bool]
) -> None:
    ids = tuple(model.model.id for model in models)
    for name, expected in fits.items():
        card = CARDS[name]
        total = sum(totals_mib(models, on(card)).values())
        assert total == pytest.approx(mib, abs=1)
        assert (total <= card.free_mib) is expected
        if len(models) > 1:
            assert resident_sets(models, AsManyAsFit(), on(card)) == ((ids,) if expected else ())


def test_sets_are_exact_to_one_mebibyte() -> None:
    pair = sum(totals_mib((TEXT_16K, VISION_4B), on(LIKELY)).values())
    assert pair - CARDS["frigate"].free_mib == pytest.approx(75, abs=1)
    assert CARDS["alone"].free_mib - sum(
        totals_mib((TEXT_16K, VISION_8B), on(LIKELY)).values()
    ) == pytest.approx(155, abs=1)
    assert CARDS["spike"].free_mib == 3949


def test_the_registry_on_an_unshared_t4() -> None:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    assert resident_sets(models, AsManyAsFit(), T4) == (
        ("qwen3vl-8b", "minicpm-v-4-5"),
        ("qwen3vl-8b", "qwen3vl-4b"),
        ("minicpm-v-4-5", "qwen3vl-4b"),
    )
    assert resident_sets(models, ONE_AT_A_TIME, T4) == ()
    large = Card(product="L4", usable_mib=22_500)
    assert resident_sets(models, AsManyAsFit(), on(large)) == (
        ("qwen3vl-8b", "minicpm-v-4-5", "qwen3vl-4b"),
    )


def test_named_sets_are_ordered_and_deduplicated() -> None:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    named = NamedSets(sets=(("qwen3vl-4b", "qwen3vl-8b"), ("qwen3vl-8b", "qwen3vl-4b")))
    assert resident_sets(models, named, T4) == (("qwen3vl-8b", "qwen3vl-4b"),)


BAD_SETS: dict[str, tuple[tuple[tuple[str, ...], ...], str]] = {
    "too much": (
        (("qwen3vl-8b", "minicpm-v-4-5", "qwen3vl-4b"),),
        "residency: a set is ('qwen3vl-8b', 'minicpm-v-4-5', 'qwen3vl-4b'); expected a set "
        "that fits 14912 MiB of Tesla-T4: this one needs 17367 (qwen3vl-8b 6744 + minicpm-v-4-5 "
        "6349 + qwen3vl-4b 4274), 2455 too many. Remove 'qwen3vl-4b'",
    ),
    "unknown": (
        (("qwen3vl-8b", "qwen3vl-2b"),),
        "residency: a set's model is 'qwen3vl-2b'; expected an id of the registry: qwen3vl-8b, ",
    ),
    "one model": ((("qwen3vl-8b",),), "a set is ('qwen3vl-8b',); expected two or more different"),
    "twice": ((("a", "a"),), "a set is ('a', 'a'); expected two or more different"),
    "one set for many": (
        ("a", "b"),
        "residency: sets[0] is 'a'; expected a tuple of texts, such as ('a',)",
    ),  # type: ignore[dict-item]
}


@pytest.mark.parametrize(("sets", "message"), BAD_SETS.values(), ids=BAD_SETS.keys())
def test_resident_sets_refuses_a_bad_set(sets: Sets, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resident_sets((QWEN3VL_8B, MINICPM, QWEN3VL_4B), NamedSets(sets=sets), T4)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def many(count: int) -> tuple[LockedModel, ...]:
    return tuple(
        text_model(f"m-{index}", QWEN3_4B if index % 2 else QWEN3_8B) for index in range(count)
    )


def test_as_many_as_fit_refuses_more_than_twelve_models() -> None:
    with pytest.raises(ConfigError) as caught:
        resident_sets(many(13), AsManyAsFit(), T4)
    assert str(caught.value) == (
        "residency: RESIDENCY is 'AsManyAsFit with 13 models'; expected at most 12 models, unless "
        "all fit together or no two do. Name the sets that matter by NamedSets."
    )


def test_a_thousand_models_that_all_or_never_fit_need_no_search() -> None:
    models = many(1000)
    started = time.perf_counter()
    huge = Card(product="x", usable_mib=10**7)
    assert len(resident_sets(models, AsManyAsFit(), on(huge))[0]) == 1000
    assert resident_sets(models, AsManyAsFit(), on(Card(product="x", usable_mib=5500))) == ()
    assert time.perf_counter() - started < 1


def test_every_set_fits_and_is_maximal() -> None:
    draw = random.Random(5)
    for _ in range(100):
        count = draw.randint(2, 7)
        models = tuple(
            text_model(f"m-{index}", replace(QWEN3_4B, layers=draw.randint(1, 80)))
            for index in range(count)
        )
        card = Card(product="x", usable_mib=draw.randint(2600, 20_000))
        totals = totals_mib(models, on(card))
        found = resident_sets(models, AsManyAsFit(), on(card))
        fitting = {
            ids
            for size in range(2, count + 1)
            for ids in itertools.combinations(totals, size)
            if sum(totals[model_id] for model_id in ids) <= card.free_mib
        }
        largest = {ids for ids in fitting if not any(set(ids) < set(other) for other in fitting)}
        assert set(found) == largest
        assert len(found) == len(largest)
        number = any_that_fit(totals, card.free_mib)
        for ids in itertools.combinations(totals, number):
            assert number == 1 or sum(totals[model_id] for model_id in ids) <= card.free_mib


def routing_of(found: Residents) -> Any:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    return yaml.safe_load(render_llama_swap(models, LlamaSwapSettings(), found)).get("routing")


def test_llama_swap_gets_a_matrix_only_if_there_are_sets() -> None:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    assert routing_of(ONE_RESIDENT) is None
    found = FRONT_ENDS["llama-swap"].residents(models, AsManyAsFit(), T4)
    assert routing_of(found) == {
        "router": {
            "use": "matrix",
            "settings": {
                "matrix": {
                    "sets": {
                        "together-1": "qwen3vl-8b & minicpm-v-4-5",
                        "together-2": "qwen3vl-8b & qwen3vl-4b",
                        "together-3": "minicpm-v-4-5 & qwen3vl-4b",
                    }
                }
            },
        }
    }
    assert found.together == 2


def test_the_router_gets_the_number_of_models_of_which_any_fit() -> None:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    found = FRONT_ENDS["llama-server"].residents(models, AsManyAsFit(), T4)
    assert found == Residents(models_max=2)
    words = ROUTER.command(LlamaSwapSettings(), Listen(port=1, config_path="x"), found)
    assert words[words.index("--models-max") + 1] == "2"
    assert models_max(models, ONE_AT_A_TIME, T4) == 1


def test_the_router_refuses_named_sets_and_pairs_that_do_not_fit() -> None:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    named = NamedSets(sets=(("qwen3vl-8b", "qwen3vl-4b"),))
    with pytest.raises(ConfigError, match=r"RESIDENCY is 'NamedSets'; .* \(here any 2\)\. Choose"):
        FRONT_ENDS["llama-server"].residents(models, named, T4)
    small = Card(product="x", usable_mib=12_000)
    with pytest.raises(ConfigError) as caught:
        FRONT_ENDS["llama-server"].residents(models, AsManyAsFit(), on(small))
    assert str(caught.value) == (
        "residency: RESIDENCY is 'AsManyAsFit'; expected OneAtATime() with the front end "
        "llama-server, or AsManyAsFit() where any two models fit together (qwen3vl-8b 6744 + "
        "minicpm-v-4-5 6349 MiB do not fit 12000 MiB). Choose one of them, or the front end "
        "llama-swap."
    )
