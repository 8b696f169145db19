"""The interface of both front ends, and that no other module compares their names."""

from __future__ import annotations

import ast
from typing import get_args

import pytest

from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEnd, FrontEndName
from tests.conftest import ROOT

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
