"""Every option of every command: a wrong value is one line and exit code 2.

The options are found in the commands, so a new one is tested without a line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest

from ops.cli import COMMANDS, load, main


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words of each command and of each one below it."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        for name, nested in getattr(command, "commands", {}).items():
            yield from below((*words, name), nested)

    for name in COMMANDS:
        yield from below((name,), load(name))


OPTIONS = [
    (words, option)
    for words, command in commands()
    for option in command.params
    if option.opts[0].startswith("-")
]


def names(parameter: Any) -> str:
    return " ".join(parameter) if isinstance(parameter, tuple) else str(parameter.opts[0])


def types_of(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType, list):
        for argument in get_args(hint):
            yield from types_of(argument)
    else:
        yield hint


def wrong_values(option: Any) -> tuple[str, ...]:
    """Return texts that the option refuses; none where it takes any text."""
    described = option.type_descriptor
    if described.parameter_info.parser is not None:
        return ("nonsense", "", "-1", "1.5", "\0", "9" * 400)
    values: tuple[str, ...] = ()
    for hint in types_of(described.annotation):
        if hint is int:
            values = ("nonsense", "", "1.5", "1e3", "True", "\0", "0x10", "9" * 5000)
            values += () if option.min is None else (str(option.min - 1),)
            values += () if option.max is None else (str(option.max + 1),)
        elif hint is float:
            values = ("nonsense", "", "True", "\0")
        elif get_origin(hint) is Literal:
            values = ("nonsense", "", get_args(hint)[0].upper() + "x")
    return values


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2, arguments
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert len(captured.err.splitlines()) == 1, captured.err
    assert captured.err.endswith(" See python -m ops --help.\n")
    return captured.err


@pytest.mark.parametrize(("words", "option"), OPTIONS, ids=names)
def test_a_wrong_value_is_one_line_that_names_the_option(
    words: tuple[str, ...], option: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in option.opts:
        if option.is_flag:
            assert name in usage_error(capsys, *words, f"{name}=nonsense")
            continue
        assert name in usage_error(capsys, *words, name)
        for value in wrong_values(option):
            line = usage_error(capsys, *words, f"{name}={value}")
            assert name in line
            assert len(value) > 400 or repr(value)[1:20] in line


def test_options_of_each_kind_are_tried() -> None:
    tried = [option for _, option in OPTIONS if wrong_values(option)]
    assert len(tried) > 20
    assert any(option.max is not None for option in tried)


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_an_unknown_option_is_one_line(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--colour" in usage_error(capsys, *words, "--colour")
