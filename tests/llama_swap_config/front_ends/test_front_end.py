"""The interface of both front ends, and that no other module compares their names."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import get_args

import pytest

from llama_swap_config.fit.residency import Residents
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEnd, FrontEndName
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.plans.download import render_download_plan
from llama_swap_config.plans.warm import render_warm_plan
from tests.conftest import ROOT
from tests.declaration.settings import SETTINGS

ROUTER, LLAMA_SWAP = FRONT_ENDS["llama-server"], FRONT_ENDS["llama-swap"]
RUNNING = {"running": [{"model": "a", "state": "ready", "cmd": "x -c 1", "ttl": 5}, "stray"]}
LISTED = {
    "data": [
        {"id": "a", "status": {"value": "loaded", "args": ["x", "-c", "1"]}},
        {"id": "b", "status": {"value": "sleeping"}},
        {"id": "c"},
    ]
}


def test_every_front_end_name_has_a_front_end() -> None:
    assert tuple(FRONT_ENDS) == get_args(FrontEndName)
    assert [program.name for program in FRONT_ENDS.values()] == list(FRONT_ENDS)


@pytest.mark.parametrize(("front_end", "answer"), [(LLAMA_SWAP, RUNNING), (ROUTER, LISTED)])
def test_started_reads_loaded_models_and_command_lines(
    front_end: FrontEnd, answer: object
) -> None:
    assert front_end.loaded(answer) == ("a",)
    assert next(server.words for server in front_end.started(answer) or ()) == ("x", "-c", "1")


@pytest.mark.parametrize("front_end", FRONT_ENDS.values())
@pytest.mark.parametrize(
    "answer", [None, [], 3, {}, {"running": 1, "data": 1}, {"data": [{"id": "a"}, 3]}]
)
def test_started_returns_none_for_another_programs_answer(
    front_end: FrontEnd, answer: object
) -> None:
    assert front_end.loaded(answer) is None


@pytest.mark.parametrize("front_end", FRONT_ENDS.values())
def test_a_split_model_is_loaded_by_its_first_part(
    front_end: FrontEnd, locked: tuple[LockedModel, ...]
) -> None:
    first, *others = locked
    part = replace(first.weights[0], name="second.gguf", sha256="0" * 64, header=None)
    split = replace(first, weights=(*first.weights, part))
    text = front_end.config((split, *others), SETTINGS.llama_swap, Residents())
    assert text.count("model-00001-of-00002.gguf") == 1
    assert "model-00002-of-00002.gguf" not in text
    for plan in (render_download_plan, render_warm_plan):
        assert len(re.findall(r'"model-0000[12]-of-00002\.gguf"', plan((split, *others)))) == 2


def test_no_module_compares_front_end_names() -> None:
    comparisons = []
    for folder in ("llama_swap_config", "stacks", "constructs", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare | ast.match_case):
                    text = ast.unparse(node)
                    if "front_end" in text and any(repr(name) in text for name in FRONT_ENDS):
                        comparisons.append(f"{path.relative_to(ROOT)}: {text}")
    assert comparisons == []
