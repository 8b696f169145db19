"""`python -m ops fit` with several pools."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from llama_swap_config import registry
from llama_swap_config.model import Model
from ops.cli import main
from stacks import production
from tests.declaration.pools import HOUSED, POOLED, RTX3090, T4, TWO_CARDS
from tests.ops.commands.fit.test_fit import SVG


@pytest.fixture(autouse=True)
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tree declare three pools."""
    monkeypatch.setattr(production, "PRODUCTION", POOLED)
    monkeypatch.setattr(registry, "REGISTRY", HOUSED)


def declare(monkeypatch: pytest.MonkeyPatch, *models: Model) -> None:
    monkeypatch.setattr(registry, "REGISTRY", models)


def run(*words: str) -> int:
    return main(["fit", *words])


LARGE = replace(HOUSED[0], context=100_000)
"""Too large for the T4, which is its second home."""
HOMELESS = tuple(replace(model, pools=()) for model in HOUSED)


def test_each_model_is_shown_in_each_pool(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert re.search(r"model +context +t4 +rtx3090 +two-cards card 0 +two-cards card 1", out)
    assert re.search(r"qwen3vl-8b +3072 +second 6744 +home 6744 +6744 *\n", out)
    assert re.search(r"qwen3vl-4b +3072 +home 4274 +4274 +second 4274 *\n", out)
    assert re.search(r"free +14912 +23900 +14912 +14912", out)
    assert re.search(r"spare +8168 +17156 +8563 +14912", out)
    assert (
        "\nrtx3090: 23900 MiB of NVIDIA-GeForce-RTX-3090. Volume: that of t4. Host memory" in out
    )
    assert "\nt4: 14912 MiB of Tesla-T4. Volume: 14.6 of 30 GiB" in out


def test_markdown_has_the_same_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, LARGE, replace(HOUSED[1], cards=(0, 1)), HOUSED[2])
    assert run("--markdown") == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith(
        "**Does not fit:** pool 't4': model 'qwen3vl-8b': context is 100000"
    )
    assert lines[0].endswith(" MiB of each model in each pool:")
    assert "| qwen3vl-8b | 100000 | second 20483 over | home 20483 | 20483 over |  |" in lines
    assert "| minicpm-v-4-5 | 3072 | no card 1 | no card 1 | home 3974 | home 3055 |" in lines
    assert "| spare |  | -5571 | 3417 | 10638 | 11857 |" in lines
    assert any(line.startswith("pool 'two-cards': model 'minicpm-v-4-5': mem") for line in lines)
    assert captured.err.startswith("error: pool 't4': model 'qwen3vl-8b': context is 100000")
    assert captured.err.endswith(" It fits pool 'rtx3090': pools=(\"rtx3090\",).\n")
    assert captured.err.count("\n") == 1


def test_json_has_the_fit_of_each_pool(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["fits"], document["proposals"]) == (True, None)
    first, *_ = document["models"]
    assert first["pools"] == [RTX3090, T4]
    assert first["pools_mib"] == {it: {"0": 6743.76} for it in (T4, RTX3090, TWO_CARDS)}
    pools = {pool["name"]: pool for pool in document["pools"]}
    assert pools[TWO_CARDS]["spare_mib"].keys() == {"0", "1"}
    assert [it["id"] for it in pools[T4]["fit"]["models"]] == ["qwen3vl-8b", "qwen3vl-4b"]
    assert pools[RTX3090]["fit"]["volume"] is None
    assert pools[RTX3090]["fit"]["card"]["usable_mib"] == 23_900


def test_one_pool_is_shown_as_if_it_were_the_only_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--pool", TWO_CARDS, "--usable-mib", "5000", "--json") == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["card"]["count"] == 2
    assert [it["id"] for it in document["models"]] == ["minicpm-v-4-5", "qwen3vl-4b"]
    assert "Use cards=(0, 1), which would fit" in captured.err
    assert captured.err.endswith(" It fits pool 't4': pools=(\"t4\",).\n")
    assert run("--pool", RTX3090) == 0
    out = capsys.readouterr().out
    assert out.startswith("Each model alone on 23900 MiB of NVIDIA-GeForce-RTX-3090; all in MiB")
    assert "Volume" not in out


def test_homes_are_proposed_for_models_that_name_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, *HOMELESS)
    assert run("--propose") == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert "t4: no model names it." in lines
    start = lines.index("For llama_swap_config/registry.py:")
    assert lines[start + 1 : start + 4] == [
        '  qwen3vl-8b: pools=("t4",),',
        '  minicpm-v-4-5: pools=("two-cards",),',
        '  qwen3vl-4b: pools=("rtx3090",),',
    ]
    assert captured.err.startswith("error: model 'qwen3vl-8b': pools is (); expected its home")
    proposed = zip(HOMELESS, (T4, TWO_CARDS, RTX3090), strict=True)
    declare(monkeypatch, *(replace(model, pools=(pool,)) for model, pool in proposed))
    assert run("--propose") == 0
    assert "\nEvery model fits the pools that it names.\n" in capsys.readouterr().out


def test_a_proposal_says_what_is_estimated_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = replace(HOUSED[0], context=120_000, pools=(TWO_CARDS,))
    declare(monkeypatch, split, replace(HOUSED[1], context=262_144), HOUSED[2])
    assert run("--propose") == 1
    out = capsys.readouterr().out
    assert (
        "\n  qwen3vl-8b: cards=(0, 1),  # by estimate until `python -m ops lock` asks the engine\n"
        in out
    )
    assert re.search(r"\n  minicpm-v-4-5: no pool takes it: pool 'two-cards' with cards=", out)


def test_the_figure_has_a_group_of_bars_for_each_pool(tmp_path: Path) -> None:
    path = tmp_path / "fit.svg"
    assert run("--plot", str(path)) == 0
    root = ElementTree.parse(path).getroot()
    description = root.findtext(f"{SVG}desc") or ""
    for name in (T4, RTX3090, TWO_CARDS):
        assert f"{name}: Stacked bars in MiB against " in description
    bottoms = [float(it.get("y", 0)) for it in root.iter(f"{SVG}text")]
    assert max(bottoms) < float(root.get("height", 0))
    edges = [it for it in root.iter(f"{SVG}path") if it.get("class") == "edge"]
    assert len(edges) == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--pool", "x"), 1, "--pool is 'x'; expected one of t4, rtx3090, two-cards"),
        (("--usable-mib", "9"), 2, "--usable-mib and --largest-context are about one pool; add "),
        (("--largest-context",), 2, "--usable-mib and --largest-context are about one pool; add "),
        (("--pool", T4, "--propose"), 2, "--propose is about all pools; omit --pool"),
        (
            ("--pool", T4, "--model", "minicpm-v-4-5"),
            1,
            "--model is 'minicpm-v-4-5'; expected one of qwen3vl-8b, qwen3vl-4b",
        ),
        (("--model", "x"), 1, "--model is 'x'; expected one of qwen3vl-8b, minicpm-v-4-5, "),
    ],
)
def test_a_wrong_option_is_one_line(
    words: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
