"""What a lock keeps of a model on several cards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.figures import memory_flags
from llama_swap_config.fit.vram import on_cards, resident
from llama_swap_config.lock.file import read_lock, render_lock
from llama_swap_config.lock.locked import LOCK_PATH, LockedModel
from llama_swap_config.lock.memory import AtContext, OnCard
from tests.declaration.frozen import DECLARATION

MACHINE = Machine(card=Card(product="Tesla-T4"), engine_build=10524)


def split() -> LockedModel:
    """Put the first model on two cards, the second of which takes half of the first."""
    first = DECLARATION.locked[0]
    model = replace(first.model, cards=(1, 0))
    (measured,) = first.memory
    half = OnCard(
        weights_mib=measured.weights_mib / 2,
        contexts=tuple(
            AtContext(
                context=at.context,
                kv_cache_mib=at.kv_cache_mib / 2,
                compute_mib=at.compute_mib / 2,
            )
            for at in measured.contexts
        ),
    )
    of_two = replace(measured, flags=memory_flags(model), other_cards=(half,))
    return replace(first, model=model, memory=(of_two,))


def written(path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """Write the frozen lock with the split model's figures, changed."""
    lock = dict(read_lock(LOCK_PATH))
    locked = split()
    lock[locked.model.id] = replace(lock[locked.model.id], memory=locked.memory)
    document = json.loads(render_lock(lock))
    change(document["models"][locked.model.id]["memory"][0])
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def test_each_card_has_its_own_figures() -> None:
    found = on_cards(split(), MACHINE)
    assert list(found) == [1, 0]
    first, second = found.values()
    assert (second.weights, second.kv_cache, second.compute) == (
        first.weights / 2, first.kv_cache / 2, first.compute / 2,
    )  # fmt: skip
    assert (first.projector > 0, first.vision_compute > 0) == (True, True)
    assert (second.projector, second.vision_compute) == (0, 0)
    # Each card has a CUDA context; the projector's pools are on the first.
    assert (first.cuda_context, second.cuda_context) == (192 + 64, 192)
    assert resident(split(), MACHINE).total_mib == first.total_mib + second.total_mib
    assert (first.source, second.source) == ("engine", "engine")


def test_a_lock_with_a_split_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "models.lock.json")
    lock = read_lock(path)
    assert lock["qwen3vl-8b"].memory == split().memory
    assert render_lock(lock) == path.read_text()


def test_a_lock_without_one_has_no_field_for_it() -> None:
    assert "other_cards" not in render_lock(read_lock(LOCK_PATH))


def test_figures_of_another_number_of_cards_do_not_count() -> None:
    locked = split()
    one = replace(locked, memory=(replace(locked.memory[0], other_cards=()),))
    # The formula answers, as for a model without figures.
    assert on_cards(one, MACHINE)[0].source == "formula"


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no list": (lambda it: it.update(other_cards={}), "other_cards is {}; expected a list of"),
    "empty": (lambda it: it.update(other_cards=[]), "other_cards is []; expected a list of cards"),
    "no weights": (
        lambda it: it["other_cards"][0].pop("weights_mib"),
        "weights_mib is None; expected MiB",
    ),
    "negative": (
        lambda it: it["other_cards"][0].update(weights_mib=-1), "weights_mib is -1; expected MiB",
    ),
    "a field too many": (
        lambda it: it["other_cards"][0].update(projector_mib=1),
        "a field is 'projector_mib'; expected one of weights_mib, contexts",
    ),
    "other contexts": (
        lambda it: it["other_cards"][0]["contexts"].pop(),
        "expected the contexts of the first card",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_damaged_part_is_one_line(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_lock(written(tmp_path / "models.lock.json", change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
