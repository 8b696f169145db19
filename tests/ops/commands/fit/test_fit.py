"""`python -m ops fit`: the registry against the card, and what if."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from llama_swap_config.fit.card import Card
from llama_swap_config.fit.residency import ONE_AT_A_TIME, AsManyAsFit, NamedSets
from llama_swap_config.lock.locked import LockEntry
from ops.cli import main
from ops.commands.fit.figure import render
from ops.commands.fit.run import Fit, fit
from ops.commands.fit.text import as_json, as_markdown, node_line
from ops.commands.fit.what_if import WhatIf, assume
from ops.commands.up.summary import budget_line
from stacks.pools import pools_of
from tests.declaration.frozen import DECLARATION
from tests.declaration.pools import POOLS
from tests.declaration.settings import SETTINGS
from tests.llama_swap_config.fit.shapes import MINICPM, QWEN3VL_4B, QWEN3VL_8B, changed
from tests.llama_swap_config.fit.test_budget import SHARED
from tests.llama_swap_config.fit.test_cards import large
from tests.llama_swap_config.fit.test_residency import many

MODELS = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
SVG = "{http://www.w3.org/2000/svg}"


def run(*words: str) -> int:
    """Run the command on the frozen declaration."""
    return main(["fit", *words])


def test_the_registry_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert re.search(r"qwen3vl-8b +3072 +4455 +432 +123 +1105 +372 +256 +6744 +8168 ", out)
    assert "Would fit together" in out
    assert "Volume: 20.3 of 30 GiB" in out


def test_a_what_if_that_does_not_fit_ends_with_the_error_of_a_synth(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--model", "qwen3vl-8b", "--context", "65536") == 1
    captured = capsys.readouterr()
    assert "-677" in captured.out
    assert captured.err.startswith("error: model 'qwen3vl-8b': context is 65536; expected at most")
    assert captured.err.count("\n") == 1
    words = ["--model", "qwen3vl-8b", "--context", "65536", "--kv", "q8_0"]
    assert run(*words) == 0


def test_json_names_the_unit_of_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--projector", "Q8_0", "--usable-mib", "6200") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["fits"] is False
    assert document["card"]["usable_mib"] == 6200
    first = document["models"][0]
    assert (first["id"], first["projector"], first["projector_estimated"]) == (
        "qwen3vl-8b",
        "Q8_0",
        True,
    )
    assert sum(first["vram_mib"].values()) == pytest.approx(first["total_mib"], abs=0.05)
    assert first["spare_mib"] < 0 < document["models"][2]["spare_mib"]


def test_an_estimated_projector_leaves_the_engines_other_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = []
    for words in ((), ("--projector", "Q8_0")):
        assert run("--json", *words) == 0
        found.append(json.loads(capsys.readouterr().out)["models"])
    for f16, q8_0 in zip(*found, strict=True):
        assert q8_0["projector_estimated"]
        assert q8_0["vram_source"] == f16["vram_source"] == "engine"
        old, new = f16["vram_mib"], q8_0["vram_mib"]
        assert 0 < new.pop("projector") < old.pop("projector")
        assert new == old


def test_markdown_lists_models_and_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--markdown") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "It fits. Each model alone on 14912 MiB of Tesla-T4; all in MiB:"
    assert "| qwen3vl-4b | 3072 | 2376 | 432 | 90 | 797 | 322 | 256 | 4274 | 10638 |" in lines
    assert "| qwen3vl-8b + qwen3vl-4b | no: RESIDENCY | 11018 | 3894 |" in lines


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--model", "x"], "--model is 'x'; expected one of qwen3vl-8b, "),
        (["--context", "8"], "model 'qwen3vl-8b': context is 8; expected more than"),
        (
            ["--projector", "BF16"],
            "models.lock.json has no BF16 projector; only Q8_0 can be estimated",
        ),
        (["--plot", "/nowhere/x.svg"], "/nowhere/x.svg cannot be written"),
    ):
        assert run(*words) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert message in captured.err
        assert captured.err.count("\n") == 1


def test_a_projector_that_the_lock_names_is_not_estimated() -> None:
    projector = QWEN3VL_8B.projector
    assert projector is not None
    named = replace(projector, quantisation="Q8_0", name="q8_0.gguf")
    lock = {
        **DECLARATION.lock,
        "qwen3vl-8b": LockEntry(files=(*QWEN3VL_8B.weights, projector, named)),
    }
    what_if = WhatIf(model="qwen3vl-8b", projector="Q8_0")
    models, node = assume(MODELS, SETTINGS.node, what_if, lock)
    result = fit(models, ONE_AT_A_TIME, node)
    assert [model.estimated for model in result.models] == [False] * 3
    assert result.models[0].projector == "Q8_0"
    assert result.models[1].projector == "F16"


def test_residency_decides_which_sets_are_reachable() -> None:
    node = SETTINGS.node
    pair = ("qwen3vl-8b", "qwen3vl-4b")
    assert not any(model_set.reachable for model_set in fit(MODELS, ONE_AT_A_TIME, node).sets)
    assert all(model_set.reachable for model_set in fit(MODELS, AsManyAsFit(), node).sets)
    (named,) = fit(MODELS, NamedSets(sets=(pair,)), node).sets
    assert (named.models, named.reachable) == (pair, True)
    too_much = fit(MODELS, NamedSets(sets=((*pair, "minicpm-v-4-5"),)), node)
    assert too_much.sets[0].spare_mib < 0
    assert too_much.problem is not None
    assert too_much.problem.startswith("residency: a set is")


def test_too_many_models_are_shown_without_sets() -> None:
    node = replace(SETTINGS.node, storage_size_gib=1000)
    result = fit(many(13), ONE_AT_A_TIME, node, what_if=True)
    assert result.sets == ()
    assert result.problem is None
    assert len(as_markdown(result).splitlines()) > 13


def test_the_router_may_hold_its_largest_models_together() -> None:
    node = replace(SETTINGS.node, front_end="llama-server")
    (largest,) = fit(MODELS, AsManyAsFit(), node).sets
    assert (largest.models, largest.reachable) == (("qwen3vl-8b", "minicpm-v-4-5"), True)
    small = replace(node, card=Card(product="x", usable_mib=12_000))
    assert fit(MODELS, AsManyAsFit(), small).problem is not None


def test_the_figure_describes_itself_in_words(tmp_path: Path) -> None:
    models = (changed(QWEN3VL_8B, context=32768), MINICPM, QWEN3VL_4B)
    node = replace(SETTINGS.node, card=SHARED)
    root = ElementTree.fromstring(render(fit(models, AsManyAsFit(), node)))
    description = root.findtext(f"{SVG}desc")
    assert description is not None
    assert "qwen3vl-8b: 10949, 2214 over." in description
    assert "qwen3vl-4b: 4274, 4461 spare." in description
    assert root.findtext(f"{SVG}title") == "VRAM of the models on the card"
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")
    path = tmp_path / "fit.svg"
    assert run("--plot", str(path)) == 0
    ElementTree.parse(path)


def test_the_budget_of_a_deploy_names_card_volume_and_memory() -> None:
    (pool,) = pools_of(SETTINGS, DECLARATION)
    assert budget_line(pool) == (
        "qwen3vl-8b 6744, minicpm-v-4-5 6349, qwen3vl-4b 4274 MiB of 14912 MiB of Tesla-T4, one "
        "at a time. Volume: 20.3 of 30 GiB while the largest model is replaced. Host memory: 7.3 "
        "of 12 GiB while it loads. `python -m ops fit` shows the terms."
    )


def test_the_budget_of_a_pool_has_a_volume_only_where_it_is_its_own() -> None:
    lines = [budget_line(pool) for pool in POOLS]
    assert ["Volume:" in line for line in lines] == [True, False, True]


def two_cards(*cards: tuple[int, ...], usable_mib: int = 14912) -> Fit:
    """Fit an 8B, MiniCPM and a model that needs two cards."""
    wanted = (QWEN3VL_8B, MINICPM, large(0, layers=90, context=16_384))
    models = tuple(changed(it, cards=on) for it, on in zip(wanted, cards, strict=True))
    card = Card(product="Tesla-T4", usable_mib=usable_mib)
    node = replace(SETTINGS.node, card=card, cards=2, storage_size_gib=99, memory_limit_gib=64)
    return fit(models, AsManyAsFit(), node, what_if=True, propose=True)


def test_with_one_card_no_column_names_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "card " not in capsys.readouterr().out
    assert run("--markdown") == 0
    assert "card 0" not in capsys.readouterr().out


def test_with_several_cards_each_has_a_column() -> None:
    found = two_cards((0,), (1,), (0, 1), usable_mib=20_000)
    markdown = as_markdown(found)
    assert "Each model alone on its own of 2 cards, each 20000 MiB of Tesla-T4; all in" in markdown
    assert "| CUDA | total | card 0 | card 1 | spare |" in markdown
    assert "| 256 | 6744 | 6744 |  | 13256 |" in markdown
    assert "| 256 | 6349 |  | 6349 | 13651 |" in markdown
    (split,) = (model for model in found.models if model.id == "large")
    on_cards = [round(vram.total_mib) for vram in split.cards.values()]
    assert f"| {sum(on_cards)} | {on_cards[0]} | {on_cards[1]} | " in markdown
    assert split.spare_mib == 20_000 - max(vram.total_mib for vram in split.cards.values())
    sets = {(model_set.card, model_set.models) for model_set in found.sets}
    assert sets == {(0, ("qwen3vl-8b", "large")), (1, ("minicpm-v-4-5", "large"))}
    assert render(found).count(">1: ") == 3


def test_a_card_without_a_model_is_named() -> None:
    assert "Card" not in node_line(two_cards((0,), (0,), (0, 1)))
    assert node_line(two_cards((1,), (1,), (1,))).endswith(
        ". Card 0 is idle: no model has it in `cards`."
    )


def test_json_has_the_mib_of_each_card() -> None:
    document = as_json(two_cards((0,), (1,), (1, 0)))
    assert document["card"]["count"] == 2
    by_model = {model["id"]: model for model in document["models"]}
    assert by_model["minicpm-v-4-5"]["cards_mib"] == {"1": by_model["minicpm-v-4-5"]["total_mib"]}
    assert list(by_model["large"]["cards_mib"]) == ["1", "0"]
    total = sum(by_model["large"]["cards_mib"].values())
    assert by_model["large"]["total_mib"] == pytest.approx(total, abs=0.02)


def test_a_proposal_is_a_line_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    found = two_cards((0,), (1,), (0,))
    assert "\n  large: cards=(0, 1),\n" in as_markdown(found)
    assert json.loads(json.dumps(as_json(found)))["proposals"] == {"large": [0, 1]}
    uneven = large(0, 1, layers=90, context=16_384, tensor_split=(9, 1))
    node = replace(SETTINGS.node, cards=2, storage_size_gib=99, memory_limit_gib=64)
    proposed = as_markdown(fit((uneven,), ONE_AT_A_TIME, node, what_if=True, propose=True))
    assert "\n  large: cards=(0, 1), tensor_split=(),\n" in proposed
    assert run("--propose") == 0
    assert capsys.readouterr().out.endswith("\nEvery model fits the cards that it names.\n")
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out)["proposals"] is None
