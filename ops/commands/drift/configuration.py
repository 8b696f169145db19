"""Read the file of either front end into fields by model, and compare two of them.

The declared file is read in the same way, so that only differences in meaning count: not the order
of keys, a comment or the spelling of a flag.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from llama_swap_config.flags import BY_NAME, spelling
from ops.commands.drift.difference import ABSENT, NOT_SET, PRESENCE, PRESENT

Fields = dict[str, str]

ALL_MODELS = "all models"

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SWITCH = "on"
"""Value of a flag without a value, and of `= true` in an INI."""
_LONGEST_TEXT = 1 << 22
"""More than a ConfigMap can hold: only macros within macros reach it."""


class UnreadableError(Exception):
    """The text is not a configuration of this front end; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The configuration of a front end."""

    models: Mapping[str, Fields]
    """Id -> field -> value; each flag of the command is a field."""
    rest: Fields
    """Top-level key -> value, without the models."""


class Mismatch(NamedTuple):
    """A field that differs."""

    model: str | None
    """Its id, or ALL_MODELS if all have the same difference; None: not of a model."""
    field: str
    found: str
    declared: str


def read(key: str, text: str) -> Configuration:
    """Read a front end's file.

    Args:
        key: Its name: `llama-swap.yaml` or `router-preset.ini`.
        text: Its content.

    Raises:
        UnreadableError: if it is not such a file.
    """
    return _read_ini(text) if key.endswith(".ini") else _read_yaml(text)


def compare(actual: Configuration, declared: Configuration) -> Iterator[Mismatch]:
    """List the differences model by model; one that all models share is listed once."""
    by_model: dict[str, list[Mismatch]] = {}
    for model in sorted(set(actual.models) | set(declared.models)):
        if model not in actual.models:
            yield Mismatch(model, PRESENCE, ABSENT, PRESENT)
        elif model not in declared.models:
            yield Mismatch(model, PRESENCE, PRESENT, ABSENT)
        else:
            by_model[model] = list(
                compare_fields(model, actual.models[model], declared.models[model])
            )
    lists = [
        {mismatch._replace(model=ALL_MODELS) for mismatch in mismatches}
        for mismatches in by_model.values()
    ]
    shared = set.intersection(*lists) if len(lists) > 1 else set()
    yield from sorted(shared)
    for mismatches in by_model.values():
        yield from (
            mismatch
            for mismatch in mismatches
            if mismatch._replace(model=ALL_MODELS) not in shared
        )
    yield from compare_fields(None, actual.rest, declared.rest)


def compare_fields(model: str | None, actual: Fields, declared: Fields) -> Iterator[Mismatch]:
    """List the fields that differ."""
    for field in dict.fromkeys((*declared, *actual)):
        values = actual.get(field, NOT_SET), declared.get(field, NOT_SET)
        if values[0] != values[1]:
            yield Mismatch(model, field, *values)


def command_fields(words: list[str]) -> Fields:
    """Read llama-server's command line: `program`, and each flag with its value.

    Without the port, which may differ at every start.
    """
    end = next(
        (
            position
            for position, word in enumerate(words, start=1)
            if PurePosixPath(word).name == "llama-server"
        ),
        min(1, len(words)),
    )
    fields = {"program": shlex.join(words[:end])}
    flag = ""
    values: dict[str, list[str]] = {}
    for word in words[end:]:
        if word.startswith("-") and not _NUMBER.fullmatch(word):
            flag = spelling(word)
            values.setdefault(flag, [])
        else:
            values.setdefault(flag or "arguments", []).append(word)
    values.pop("--port", None)
    return fields | {
        name: " ".join(words_of_flag) or _SWITCH for name, words_of_flag in values.items()
    }


class _NoAliases(yaml.SafeLoader):
    """Refuses aliases, with which a page of YAML can expand beyond the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases; expected none")
        return super().compose_node(parent, index)


def _read_yaml(text: str) -> Configuration:
    try:
        document = yaml.load(text, Loader=_NoAliases)  # noqa: S506 - a SafeLoader.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableError(f"not YAML: {' '.join(str(error).split())[:160]}") from error
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, dict) or not all(
        isinstance(entry, dict) for entry in models.values()
    ):
        raise UnreadableError("it has no models")
    macros = _mapping(document.get("macros"))
    return Configuration(
        models={
            str(model): _swap_model(str(model), entry, macros) for model, entry in models.items()
        },
        rest={
            str(name): _text(value)
            for name, value in document.items()
            if name not in ("models", "macros")
        },
    )


def _swap_model(model: str, entry: dict[str, Any], macros: dict[str, str]) -> Fields:
    macros = {"MODEL_ID": model} | macros | _mapping(entry.get("macros"))
    fields: Fields = {}
    for name, value in entry.items():
        if name == "macros":
            continue
        text = _expand(_text(value), macros)
        if name == "cmd":
            fields |= _command(text)
        elif name == "env" and isinstance(value, list):
            pairs = (str(pair).partition("=") for pair in value)
            fields |= {f"env.{variable}": content for variable, _, content in pairs}
        else:
            fields[str(name)] = text
    return fields


def _command(text: str) -> Fields:
    try:
        return command_fields(shlex.split(text))
    except ValueError as error:
        raise UnreadableError(f"not a command line: {error}") from error


def _expand(text: str, macros: dict[str, str]) -> str:
    """Expand macros, the last first: a later one may use an earlier one."""
    for name, value in reversed(macros.items()):
        text = text.replace(f"${{{name}}}", value)
        if len(text) > _LONGEST_TEXT:
            raise UnreadableError(f"its macro {name[:40]!r} expands without end")
    return text


def _mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): _text(member) for name, member in value.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


class _Preset(configparser.ConfigParser):
    """The router's file: its section `*` applies to all models, and keys are flags."""

    def __init__(self) -> None:
        super().__init__(default_section="*", delimiters=("=",), interpolation=None, strict=False)

    def optionxform(self, optionstr: str) -> str:
        return spelling(f"-{optionstr}" if f"-{optionstr}" in BY_NAME else f"--{optionstr}")


def _read_ini(text: str) -> Configuration:
    # To the router, these start a comment anywhere, and leading blanks mean nothing.
    lines = [re.split(r"[;#]", line, maxsplit=1)[0].strip() for line in text.splitlines()]
    preset = _Preset()
    try:
        preset.read_string("\n".join(lines))
    except configparser.MissingSectionHeaderError as error:
        raise _no_key(lines[error.lineno - 1]) from error
    except configparser.ParsingError as error:
        raise _no_key(lines[error.errors[0][0] - 1]) from error
    if not preset.sections():
        raise UnreadableError("it has no models")
    models = {
        model.strip(): {
            flag: _SWITCH if value == "true" else value for flag, value in preset.items(model)
        }
        for model in preset.sections()
    }
    return Configuration(models=models, rest={})


def _no_key(line: str) -> UnreadableError:
    return UnreadableError(f"not `key = value` of a section: {line[:80]}")
