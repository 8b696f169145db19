"""Several cards: what fits which, what excludes what, and what is proposed."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
import yaml

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import check_fits_alone
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.placement import proposed_cards
from llama_swap_config.fit.residency import (
    ONE_AT_A_TIME,
    AsManyAsFit,
    NamedSets,
    OneAtATime,
    Residency,
    mib_by_card,
    models_max,
    residents_of,
)
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.lock.locked import LockedModel
from tests.llama_swap_config.fit.shapes import QWEN3_4B, QWEN3_8B, T4, changed, on, text_model

Models = tuple[LockedModel, ...]
Ids = frozenset[str]
ROUNDS = 60


def model(model_id: str, *cards: int, layers: int = 36, **fields: Any) -> LockedModel:
    return text_model(model_id, replace(QWEN3_4B, layers=layers), cards=cards, **fields)


def large(*cards: int, layers: int = 160, **fields: Any) -> LockedModel:
    """Make a model with as much of an 8B for each layer."""
    tensor_bytes = QWEN3_8B.tensor_bytes * layers // QWEN3_8B.layers
    weights = replace(QWEN3_8B, layers=layers, tensor_bytes=tensor_bytes)
    return text_model("large", weights, cards=cards, **fields)


def matrix(models: Models, residency: Residency, machine: Machine) -> list[str]:
    """Return the expressions that llama-swap gets."""
    found = residents_of(models, residency, machine)
    document = yaml.safe_load(render_llama_swap(models, LlamaSwapSettings(), found))
    if "routing" not in document:
        return []
    return list(document["routing"]["router"]["settings"]["matrix"]["sets"].values())


def expanded(expression: str) -> list[Ids]:
    """Expand an expression as llama-swap does: `&` binds closer than `|`."""
    words = re.findall(r"[\w.-]+|[&|()]", expression)

    def alternatives() -> list[Ids]:
        found = product()
        while words and words[0] == "|":
            words.pop(0)
            found += product()
        return found

    def product() -> list[Ids]:
        found = atom()
        while words and words[0] == "&":
            words.pop(0)
            right = atom()
            found = [left | other for left in found for other in right]
        return found

    def atom() -> list[Ids]:
        word = words.pop(0)
        if word != "(":
            return [frozenset({word})]
        found = alternatives()
        assert words.pop(0) == ")"
        return found

    found = alternatives()
    assert not words
    return found


def ended(target: str, running: Ids, sets: Collection[Ids]) -> Ids:
    """Return what llama-swap's solver ends: the fewest; all where no set has the target."""
    kept = [running & ids for ids in sets if target in ids]
    return running - max(kept, key=len, default=frozenset())


def allows(residency: Residency, ids: Ids, mib: dict[str, float], free_mib: float) -> bool:
    """Whether models may be on a card together, by the definition of the residency."""
    match residency:
        case OneAtATime():
            return len(ids) <= 1
        case AsManyAsFit():
            return sum(mib[model_id] for model_id in ids) <= free_mib
        case NamedSets():
            return len(ids) <= 1 or any(ids <= set(named) for named in residency.sets)


def drawn(draw: random.Random) -> tuple[Models, Residency, Machine]:
    """Draw models on up to three cards, each of which fits, and a residency that is accepted."""
    machine = on(Card(product="x", usable_mib=draw.randint(3000, 12_000)))
    models: Models = ()
    for number in range(draw.randint(2, 7)):
        cards = draw.sample(range(3), draw.choices((1, 2, 3), (6, 2, 1))[0])
        one = model(f"m{number}", *cards, layers=draw.randint(3, 60))
        if max(mib_by_card((one,), machine)[one.model.id].values()) <= machine.card.free_mib:
            models = (*models, one)
    ids = [one.model.id for one in models]
    named = NamedSets(
        sets=tuple(tuple(draw.sample(ids, draw.randint(2, len(ids)))) for _ in range(3))
        if len(ids) > 1
        else ()
    )
    return models, draw.choice((ONE_AT_A_TIME, AsManyAsFit(), named)), machine


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_matrix_allows_exactly_what_each_card_allows(seed: int) -> None:
    models, residency, machine = drawn(random.Random(seed))
    try:
        expressions = matrix(models, residency, machine) if models else []
    except ConfigError:
        assert isinstance(residency, NamedSets)
        return
    mib = mib_by_card(models, machine)
    sets = [ids for expression in expressions for ids in expanded(expression)]
    cards = {card for on_card in mib.values() for card in on_card}

    def is_allowed(ids: Ids) -> bool:
        return all(
            allows(
                residency,
                frozenset(it for it in ids if card in mib[it]),
                {it: mib[it].get(card, 0) for it in ids},
                machine.card.free_mib,
            )
            for card in cards
        )

    for size in range(1, len(models) + 1):
        for chosen in itertools.combinations(mib, size):
            ids = frozenset(chosen)
            # A model alone needs no set where all are on one card.
            is_in_matrix = any(ids <= it for it in sets) or (size == 1 and len(cards) == 1)
            assert is_in_matrix is is_allowed(ids), (chosen, expressions)
    for ids in sets:
        for card in cards:
            assert sum(mib[it].get(card, 0) for it in ids) <= machine.card.free_mib


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_request_ends_no_model_of_another_card(seed: int) -> None:
    models, residency, machine = drawn(random.Random(seed))
    try:
        expressions = matrix(models, residency, machine) if models else []
    except ConfigError:
        return
    sets = [ids for expression in expressions for ids in expanded(expression)]
    cards = {locked.model.id: set(locked.model.cards) for locked in models}
    draw, running = random.Random(seed), Ids()
    for target in draw.choices(list(cards), k=30) if cards else ():
        if target not in running:
            out = ended(target, running, sets)
            assert all(cards[it] & cards[target] for it in out), (target, running, expressions)
            running = running - out | {target}


def test_one_at_a_time_is_one_of_each_card() -> None:
    models = (model("a", 0), model("b", 1), model("c", 0), model("d", 1))
    assert matrix(models, ONE_AT_A_TIME, T4) == ["(a | c) & (b | d)"]
    assert matrix((*models, model("s", 0, 1)), ONE_AT_A_TIME, T4) == ["(a | c) & (b | d)", "s"]
    assert matrix((model("a", 1), model("b", 1)), ONE_AT_A_TIME, T4) == []


def test_as_many_as_fit_each_card() -> None:
    small = on(Card(product="x", usable_mib=9000))
    models = (model("a", 0), model("b", 0), model("c", 0), model("d", 1), model("s", 0, 1))
    assert matrix(models, AsManyAsFit(), small) == ["s & (a & b | a & c | b & c) & d"]


def test_named_sets_count_on_each_card() -> None:
    models = (model("a", 0), model("b", 0), model("c", 1), model("d", 1), model("e", 0))
    named = NamedSets(sets=(("a", "b", "c"), ("c", "d")))
    assert matrix(models, named, T4) == ["(a & b | e) & c & d"]
    longer = tuple(changed(it, context=40_960) for it in models)
    with pytest.raises(ConfigError) as caught:
        residents_of(longer, named, T4)
    assert str(caught.value) == (
        "residency: a set is ('a', 'b', 'c'); expected a set that fits card 0, 14912 MiB of "
        "Tesla-T4: this one needs 16886 (a 8443 + b 8443), 1974 too many. Remove 'a', or lower a "
        "context (`python -m ops fit`)."
    )


def test_a_thousand_models_on_two_cards_are_one_expression() -> None:
    models = tuple(model(f"m-{number}", number % 2) for number in range(1000))
    (expression,) = matrix(models, ONE_AT_A_TIME, T4)
    assert expression.startswith("(m-0 | m-2 | ")


def test_the_router_takes_models_on_several_cards_only_all_at_once() -> None:
    pair = (model("a", 0), model("b", 1))
    assert models_max(pair, ONE_AT_A_TIME, T4) == 2
    assert models_max((*pair, model("c", 1)), AsManyAsFit(), T4) == 3
    for models, residency, message in (
        ((*pair, model("c", 1)), ONE_AT_A_TIME, "counts models, not cards (card 1 has b, c)"),
        ((*pair, model("s", 0, 1)), ONE_AT_A_TIME, "counts models, not cards (card 0 has a, s)"),
        (pair, NamedSets(sets=(("a", "b"),)), "RESIDENCY is 'NamedSets'; expected AsManyAsFit()"),
    ):
        with pytest.raises(ConfigError) as caught:
            models_max(models, residency, T4)
        assert message in str(caught.value)
        assert str(caught.value).endswith("Choose the front end llama-swap.")


def test_the_routers_models_have_a_cuda_context_on_every_card() -> None:
    pair = (model("a", 0), model("b", 1))
    needed = round(mib_by_card(pair, T4)["a"][0])
    enough = on(Card(product="x", usable_mib=needed + 193))
    assert models_max(pair, AsManyAsFit(), enough) == 2
    with pytest.raises(ConfigError, match=r"192 of them for the other cards' models"):
        models_max(pair, AsManyAsFit(), on(Card(product="x", usable_mib=needed + 190)))


def test_a_model_that_only_fits_several_cards_is_told_so() -> None:
    only_split = large(1)
    with pytest.raises(ConfigError) as caught:
        check_fits_alone(only_split, T4, cards=2)
    message = str(caught.value)
    needed = mib_by_card((only_split,), T4)["large"][1]
    assert f"{needed:.0f} MiB, {needed - 14912:.0f} more than card 1, 14912 MiB" in message
    assert "Use cards=(0, 1), which would fit (about " in message
    check_fits_alone(large(0, 1), T4, cards=2)
    with pytest.raises(ConfigError) as caught:
        check_fits_alone(large(0), T4)
    assert "card 0" not in str(caught.value)
    assert "cards=" not in str(caught.value)


def test_a_split_model_is_checked_on_its_fullest_card() -> None:
    with pytest.raises(ConfigError, match="more than card 0, 14912 MiB"):
        check_fits_alone(large(0, 1, tensor_split=(9, 1)), T4, cards=2)


def placed(models: Models, proposals: dict[str, tuple[int, ...] | None]) -> Models:
    return tuple(
        changed(it, cards=proposals.get(it.model.id) or it.model.cards, tensor_split=())
        for it in models
    )


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_every_proposal_fits(seed: int) -> None:
    draw = random.Random(seed)
    machine = on(Card(product="x", usable_mib=draw.randint(4000, 10_000)))
    models = tuple(
        model(f"m{number}", draw.randrange(3), layers=draw.randint(3, 250))
        for number in range(draw.randint(2, 7))
    )
    ids = [it.model.id for it in models]
    sets = tuple(tuple(draw.sample(ids, draw.randint(2, len(ids)))) for _ in range(2))
    residency = draw.choice((ONE_AT_A_TIME, NamedSets(sets=sets)))
    proposals = proposed_cards(models, residency, machine, 3)
    after = tuple(
        it for it in placed(models, proposals) if proposals.get(it.model.id, ()) is not None
    )
    for locked in after:
        check_fits_alone(locked, machine, cards=3)
    if isinstance(residency, NamedSets):
        mib = mib_by_card(after, machine)
        for named, card in itertools.product(residency.sets, range(3)):
            taken = sum(mib[it].get(card, 0) for it in named if it in mib)
            assert taken <= machine.card.free_mib


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_one_more_model_moves_no_model_that_fits(seed: int) -> None:
    draw = random.Random(seed)
    models = tuple(
        model(f"m{number}", draw.randrange(2), layers=draw.randint(3, 250)) for number in range(5)
    )
    before = proposed_cards(models, ONE_AT_A_TIME, T4, 2)
    more = (*models, model("more", 0, layers=draw.randint(3, 250)))
    after = proposed_cards(more, ONE_AT_A_TIME, T4, 2)
    assert {it: cards for it, cards in after.items() if it != "more"} == before


def test_a_model_that_fits_nowhere_has_no_proposal() -> None:
    huge = (large(0, layers=2000), model("fine", 0))
    assert proposed_cards(huge, ONE_AT_A_TIME, T4, 2) == {"large": None}
    absent = (model("absent", 5), model("fine", 0))
    assert proposed_cards(absent, ONE_AT_A_TIME, T4, 2) == {"absent": (0,)}
