"""Apply the lines that a page shows to a file of settings, as its reader does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_ASSIGNMENT = re.compile(r"\w+: ")
_FIRST_LINE = "from __future__ import annotations\n"


def edit(path: Path, lines: str) -> None:
    """Set arguments of `Settings(...)` and add imports, or set a name of the module.

    Args:
        path: A file such as `stacks/production.py`.
        lines: `name=value,` each, which replaces the argument of that name; or `from ... import`.
            Or an assignment with its type, such as `CONSUMERS: ... = (...)`.
    """
    source = path.read_text()
    if _ASSIGNMENT.match(lines):
        path.write_text(_assign(source, lines))
        return
    imports = [line for line in lines.splitlines() if line.startswith("from ")]
    for line in imports:
        if line not in source:
            assert _FIRST_LINE in source
            source = source.replace(_FIRST_LINE, f"{_FIRST_LINE}{line}\n")
    shown = "\n".join(line for line in lines.splitlines() if line not in imports)
    if shown:
        shown = f"Settings({shown})"
        for argument in _arguments(shown):
            source = _set(source, argument.arg, ast.get_source_segment(shown, argument) or "")
    path.write_text(source)


def _assign(source: str, lines: str) -> str:
    (new,) = ast.parse(lines).body
    assert isinstance(new, ast.AnnAssign)
    (old,) = (
        ast.get_source_segment(source, statement) or ""
        for statement in ast.parse(source).body
        if isinstance(statement, ast.AnnAssign)
        and ast.unparse(statement.target) == ast.unparse(new.target)
    )
    return source.replace(old, lines)


def _set(source: str, name: str | None, text: str) -> str:
    arguments = list(_arguments(source))
    old = [argument for argument in arguments if argument.arg == name]
    place = ast.get_source_segment(source, (old or arguments)[0]) or ""
    assert source.count(place) == 1, f"{place!r} occurs {source.count(place)} times"
    return source.replace(place, text if old else f"{text},\n    {place}")


def _arguments(source: str) -> Iterator[ast.keyword]:
    """The arguments of `Settings(...)`, and of the `replace(...)` in the tests' own file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Settings", "replace"):
            yield from node.keywords
