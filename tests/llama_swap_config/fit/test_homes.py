"""Several pools: which models a pool takes, and what is proposed for the others."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card
from llama_swap_config.fit.homes import (
    Home,
    Proposal,
    check_home,
    models_of,
    models_on,
    proposed_homes,
)
from llama_swap_config.fit.host import check_disk
from llama_swap_config.fit.residency import (
    ONE_AT_A_TIME,
    AsManyAsFit,
    NamedSets,
    Residency,
    mib_by_card,
)
from llama_swap_config.lock.locked import LockedModel
from tests.declaration.settings import SETTINGS
from tests.llama_swap_config.fit.shapes import MINICPM, QWEN3VL_8B, changed, with_header
from tests.llama_swap_config.fit.test_cards import expanded, large, matrix, model

Models = tuple[LockedModel, ...]
ROUNDS = 60


def home(
    name: str,
    usable_mib: int,
    *,
    residency: Residency = ONE_AT_A_TIME,
    volume: str = "",
    **node: Any,
) -> Home:
    fields = {"memory_limit_gib": 500, "storage_size_gib": 1000} | node
    card = Card(product="x", usable_mib=usable_mib)
    return Home(
        name=name,
        node=replace(SETTINGS.node, card=card, **fields),
        residency=residency,
        volume=volume or name,
    )


def housed(locked: LockedModel, *pools: str, **fields: Any) -> LockedModel:
    return changed(locked, pools=pools, **fields)


def by_id(models: Models, homes: tuple[Home, ...]) -> dict[str, Proposal]:
    return {proposal.id: proposal for proposal in proposed_homes(models, homes)}


def pasted(models: Models, proposals: dict[str, Proposal]) -> Models:
    """Return the models with their proposals, without those that no pool takes."""
    found = []
    for locked in models:
        proposal = proposals.get(locked.model.id)
        if proposal is None:
            found.append(locked)
        elif proposal.pools:
            values = dict(it.split("=", 1) for it in proposal.arguments)
            found.append(changed(locked, **{name: eval(it) for name, it in values.items()}))
    return tuple(found)


def drawn(draw: random.Random) -> tuple[Models, tuple[Home, ...]]:
    """Draw pools, of which some share a volume, and models with and without homes."""
    ids = [f"m{number}" for number in range(draw.randint(2, 9))]
    names = [f"p{number}" for number in range(draw.randint(2, 4))]
    models = tuple(
        model(
            model_id,
            draw.choice((0, 0, 0, 1)),
            layers=draw.randint(3, 98),
            pools=tuple(draw.sample(names, draw.choice((0, 1, 1, 2)))),
        )
        for model_id in ids
    )
    homes = tuple(
        home(
            name,
            draw.randint(3000, 14_000),
            cards=draw.choice((1, 1, 2, 3)),
            residency=residency_of(draw, [it.model.id for it in models_of(name, models)]),
            volume=draw.choice((names[0], name)),
            storage_size_gib=draw.choice((20, 1000)),
            memory_limit_gib=draw.choice((10, 500)),
        )
        for name in names
    )
    return models, homes


def residency_of(draw: random.Random, ids: list[str]) -> Residency:
    sets = (tuple(draw.sample(ids, draw.randint(2, len(ids)))),) if len(ids) > 1 else ()
    return draw.choice((ONE_AT_A_TIME, AsManyAsFit(), NamedSets(sets=sets)))


def without_moved(residency: Residency, models: Models) -> Residency:
    """Remove the models from sets that are in the pool no more, as the operator has to."""
    if not isinstance(residency, NamedSets):
        return residency
    ids = {it.model.id for it in models}
    kept = (tuple(it for it in named if it in ids) for named in residency.sets)
    return NamedSets(sets=tuple(named for named in kept if len(named) > 1))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_every_proposal_passes_the_checks_and_overbooks_no_card(seed: int) -> None:
    models, homes = drawn(random.Random(seed))
    after = pasted(models, by_id(models, homes))

    assert all(it.model.pools for it in after)
    for one in homes:
        on_volume = models_on(one.name, after, homes)
        if on_volume:
            check_disk(on_volume, one.node.storage_size_gib)
        own = models_of(one.name, after)
        if not own:
            continue
        residency = without_moved(one.residency, own)
        check_home(replace(one, residency=residency), own, homes, formulas=True)
        mib = mib_by_card(own, one.node.machine)
        together = [
            ids
            for expression in matrix(own, residency, one.node.machine)
            for ids in expanded(expression)
        ]
        for ids in (*together, *({model_id} for model_id in mib)):
            for card in range(one.node.cards):
                taken = sum(mib[model_id].get(card, 0) for model_id in ids)
                assert taken <= one.node.card.free_mib


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_one_more_model_changes_no_home_and_no_proposal(seed: int) -> None:
    draw = random.Random(seed)
    models, homes = drawn(draw)
    before = by_id(models, homes)
    more = model("more", 0, layers=draw.randint(3, 98))

    without_home = by_id((*models, more), homes)
    with_home = by_id((*models, housed(more, homes[0].name)), homes)

    assert {it: found for it, found in without_home.items() if it != "more"} == before
    assert before.keys() == with_home.keys() - {"more"}


T4, LARGER, PAIR = (
    home("t4", 14_912),
    home("rtx3090", 23_900),
    home("pair", 14_912, cards=2),
)


def test_a_model_that_fits_its_pools_keeps_them() -> None:
    models = (housed(QWEN3VL_8B, "pair", "t4"), housed(MINICPM, "t4"))
    assert proposed_homes(models, (T4, LARGER, PAIR)) == ()


def test_models_without_a_home_are_spread_and_an_empty_pool_comes_first() -> None:
    models = tuple(model(name, 0) for name in "abcde")
    found = by_id(models, (T4, LARGER, PAIR))
    assert [(it.pools, it.cards) for it in found.values()] == [
        (("t4",), (0,)),
        (("pair",), (0,)),
        (("rtx3090",), (0,)),
        (("pair",), (1,)),
        (("t4",), (0,)),
    ]


def test_a_large_model_goes_where_one_card_is_enough_and_else_over_two() -> None:
    seen = large(0, layers=90, context=16_384)
    assert by_id((seen,), (T4, PAIR, LARGER))["large"].pools == ("rtx3090",)
    split = by_id((seen,), (T4, PAIR))["large"]
    assert (split.pools, split.cards, split.is_estimate) == (("pair",), (0, 1), True)
    assert split.arguments == ('pools=("pair",)', "cards=(0, 1)")


def test_a_home_with_another_choice_of_cards_is_kept() -> None:
    absent = housed(large(2, layers=90, context=16_384), "pair")
    found = by_id((absent,), (T4, PAIR, LARGER))["large"]
    assert (found.pools, found.cards) == (("pair",), (0, 1))


def test_a_model_without_a_home_keeps_its_split_where_a_pool_has_the_cards() -> None:
    found = by_id((model("a", 0, 1, tensor_split=(2, 1)),), (T4, PAIR))["a"]
    assert found.arguments == ('pools=("pair",)',)


def test_a_split_that_no_pool_takes_loses_its_shares() -> None:
    shared = housed(model("a", 0, 1, tensor_split=(2, 1)), "t4")
    found = by_id((shared,), (T4, LARGER))["a"]
    assert found.arguments == ("cards=(0,)", "tensor_split=()")
    assert by_id((housed(shared, "t4", "pair"),), (T4, PAIR))["a"].arguments == (
        'pools=("pair",)',
    )


def test_only_the_home_that_does_not_take_a_model_is_removed() -> None:
    too_large = large(0, layers=90, context=16_384)
    for pools in (("rtx3090", "t4"), ("t4", "rtx3090")):
        found = by_id((housed(too_large, *pools), model("a", 0)), (T4, LARGER))["large"]
        assert found.pools == ("rtx3090",)


def test_homes_with_another_engine_are_removed() -> None:
    newer = home("newer", 14_912, engine_build=11434)
    found = by_id((housed(model("a", 0), "t4", "newer"),), (T4, newer))["a"]
    assert found.pools == ("t4",)


def test_a_pool_whose_set_names_a_model_is_preferred() -> None:
    named = home("named", 20_000, residency=NamedSets(sets=(("a", "b"),)))
    models = (housed(model("a", 0), "named"), model("b", 0))
    assert by_id(models, (T4, named))["b"].pools == ("named",)
    crowded = home("named", 4000, residency=NamedSets(sets=(("a", "b"),)))
    assert by_id(models, (T4, crowded))["b"].pools == ("t4",)


@pytest.mark.parametrize(
    ("lack", "message"),
    [
        ({"storage_size_gib": 3}, "pool 'only': storage_size_gib is 3; expected at least 5"),
        ({"memory_limit_gib": 3}, "pool 'only': resources.memory_limit_gib is 3; expected at "),
        ({"engine_build": 10_000}, "pool 'only': engine_build is 10000; expected at least 10524"),
    ],
)
def test_a_pool_that_lacks_something_else_says_what(lack: dict[str, Any], message: str) -> None:
    found = by_id((model("a", 0),), (home("only", 20_000, **lack), home("tiny", 500)))["a"]
    assert found.pools == ()
    assert found.problem.startswith(message)


def test_a_volume_counts_the_models_of_all_its_pools() -> None:
    first = home("first", 14_912, storage_size_gib=8)
    sharing = home("sharing", 14_912, volume="first", storage_size_gib=1000)
    models = (housed(model("a", 0), "first"), model("b", 0), model("c", 0))
    found = by_id(models, (first, sharing))
    assert [it.pools for it in found.values()] == [("sharing",), ()]
    assert "storage_size_gib is 8; expected at least 10" in found["c"].problem
    own = replace(sharing, volume="sharing")
    assert [it.pools for it in by_id(models, (first, own)).values()] == [("sharing",), ("first",)]


def test_what_fits_nowhere_names_the_nearest_pool() -> None:
    huge = large(0, layers=98, context=131_072)
    found = by_id((huge,), (T4, LARGER, PAIR))["large"]
    assert found.pools == ()
    assert found.problem.startswith("pool 'pair' with cards=(0, 1) lacks ")
    one = by_id((huge,), (T4, LARGER))["large"]
    needed = mib_by_card((huge,), T4.node.machine)["large"][0]
    assert one.problem == f"pool 'rtx3090' lacks {needed - 23_900:.0f} MiB."


def test_an_unknown_memory_is_for_the_lock() -> None:
    unknown = housed(with_header(QWEN3VL_8B, architecture="gemma4"), "t4")
    with pytest.raises(ConfigError, match="Run `python -m ops lock`"):
        proposed_homes((unknown,), (T4, LARGER))


def refusal(one: Home, models: Models, *homes: Home) -> str:
    with pytest.raises(ConfigError) as refused:
        check_home(one, models, homes, formulas=True)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_error_names_the_pool_and_the_one_that_would_take_the_model() -> None:
    longer = changed(QWEN3VL_8B, context=100_000)
    message = refusal(T4, (longer,), T4, LARGER)
    assert message.startswith("pool 't4': model 'qwen3vl-8b': context is 100000; expected at most")
    assert message.endswith(" is to be measured. It fits pool 'rtx3090': pools=(\"rtx3090\",).")
    assert refusal(T4, (changed(MINICPM, cards=(0, 1)),), T4, LARGER, PAIR).endswith(
        " It fits pool 'pair': pools=(\"pair\",)."
    )
    huge = refusal(T4, (large(0, layers=98, context=131_072),), T4, LARGER, PAIR)
    assert " No other pool takes it: pool 'pair' with cards=(0, 1) lacks " in huge


def test_an_error_of_the_only_pool_names_none() -> None:
    assert refusal(T4, (changed(QWEN3VL_8B, context=100_000),), T4).startswith("model 'qwen3vl-8b")


def test_an_error_that_no_pool_mends_names_no_other() -> None:
    slow = home("slow", 14_912, memory_limit_gib=3)
    message = refusal(slow, (QWEN3VL_8B,), slow, LARGER)
    assert message.startswith("pool 'slow': resources.memory_limit_gib is 3; expected at least 8")
    on_cpu = changed(QWEN3VL_8B, extra_args=("--no-kv-offload",))
    assert refusal(T4, (on_cpu,), T4, LARGER).endswith("Lower context or quantise the cache.")
    with pytest.raises(ConfigError) as refused:
        check_home(T4, (replace(QWEN3VL_8B, memory=()),), (T4, LARGER))
    assert str(refused.value).endswith("Run `python -m ops lock`.")
