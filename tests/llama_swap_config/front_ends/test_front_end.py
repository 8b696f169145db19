"""What both front ends have to say of themselves, and that nobody else asks which one it is."""

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


def test_every_name_has_its_front_end() -> None:
    assert tuple(FRONT_ENDS) == get_args(FrontEndName)
    assert [each.name for each in FRONT_ENDS.values()] == list(FRONT_ENDS)


@pytest.mark.parametrize(("front_end", "answer"), [(LLAMA_SWAP, RUNNING), (ROUTER, LISTED)])
def test_what_is_loaded_is_read_with_its_command_line(front_end: FrontEnd, answer: object) -> None:
    assert front_end.loaded(answer) == ("a",)
    assert next(each.words for each in front_end.started(answer) or ()) == ("x", "-c", "1")


@pytest.mark.parametrize("front_end", FRONT_ENDS.values())
@pytest.mark.parametrize(
    "answer", [None, [], 3, {}, {"running": 1, "data": 1}, {"data": [{"id": "a"}, 3]}]
)
def test_another_programs_answer_is_none(front_end: FrontEnd, answer: object) -> None:
    assert front_end.loaded(answer) is None


def test_nobody_else_asks_which_front_end_it_is() -> None:
    """A comparison of a front end with a name belongs into the front end's module."""
    found = []
    for folder in ("llama_swap_config", "stacks", "constructs", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare | ast.match_case):
                    text = ast.unparse(node)
                    if "front_end" in text and any(repr(name) in text for name in FRONT_ENDS):
                        found.append(f"{path.relative_to(ROOT)}: {text}")
    assert found == []
