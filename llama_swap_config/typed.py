"""Objects that an operator writes: their fields' names and types are checked before anything else.

pydantic-core checks the types, strictly: a text is not a tuple, True is not a number.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from llama_swap_config.errors import ConfigError

_Class = TypeVar("_Class", bound=type)

Subject = Literal["settings", "pool", "model", "registry", "residency", "consumer", "consumers"]
"""What an error is about; a model's also says its id, a pool's and a consumer's its name."""
_FILES: Mapping[Subject, str] = {
    "settings": "stacks/production.py",
    "pool": "stacks/production.py",
    "model": "llama_swap_config/registry.py",
    "registry": "llama_swap_config/registry.py",
    "residency": "llama_swap_config/registry.py",
    "consumer": "llama_swap_config/consumers.py",
    "consumers": "llama_swap_config/consumers.py",
}
_WORDS = {
    NoneType: "None",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
}


class _Missing:
    def __repr__(self) -> str:
        return "missing"


def typed(subject: Subject, path: str = "", /, **instead: str) -> Callable[[_Class], _Class]:
    """Make a dataclass check the names and the types of its fields when it is called.

    Args:
        subject: What its errors are about.
        path: Where the operator writes an object of the class, such as `gpu.`.
        instead: Name that a field had before -> what to write now, such as
            `sharing=ByWindow(...)`.

    Raises:
        ConfigError: when the class is called with an unknown, an earlier or no name, without a
            field, or with a value of another type.
    """

    def decorate(cls: _Class) -> _Class:
        init = cls.__init__  # type: ignore[misc]

        @functools.wraps(init)
        def checked(self: object, *args: object, **values: Any) -> None:
            if args or values or _required(cls):
                _check_call(cls, subject, path, instead, args, values)
            init(self, *args, **values)

        cls.__init__ = checked  # type: ignore[misc]
        return cls

    return decorate


def require_types(
    subject: Subject, values: Mapping[str, object], hints: Mapping[str, Any]
) -> None:
    """Check the types of values.

    Args:
        subject: What the error is about.
        values: Name -> value.
        hints: Name -> type.

    Raises:
        ConfigError: for the first value of another type.
    """
    _require_types(subject, _FILES[subject], "", values, hints, _validator(hints))


def _check_call(
    cls: type,
    subject: Subject,
    path: str,
    instead: Mapping[str, str],
    args: tuple[object, ...],
    values: dict[str, Any],
) -> None:
    file = _FILES[subject]
    name_field = {"model": "id", "pool": "name", "consumer": "name"}.get(subject, "")
    its_name = values.get(name_field)
    about = f"{subject} {its_name!r}" if isinstance(its_name, str) else subject
    hints = _hints(cls)

    def error(name: str, value: object, expected: str, remedy: str) -> ConfigError:
        return ConfigError.of(about, f"{path}{name}", value, expected=expected, remedy=remedy)

    if args:
        first = next(iter(hints), "")
        raise error(
            f"an argument of {cls.__name__}", args[0],
            f"a name before it, such as {first}=..." if first else "none",
            f"Correct it in {file}",
        )  # fmt: skip
    for name, value in values.items():
        if name in instead:
            raise error(name, value, "its new name", f"Write {instead[name]} in {file}")
        if name not in hints:
            raise error(
                name, value, f"a field of {cls.__name__}", _did_you_mean(name, hints, file)
            )
    for name in _required(cls):
        if name not in values:
            raise error(name, _Missing(), _expected(hints[name]), f"Add it in {file}")
    _require_types(about, file, path, values, hints, _validator_of(cls))


def _require_types(
    about: str,
    file: str,
    path: str,
    values: Mapping[str, object],
    hints: Mapping[str, Any],
    validator: Any,
) -> None:
    from pydantic_core import ValidationError

    try:
        validator.validate_python(dict(values))
    except ValidationError as refused:
        name, *inner = refused.errors(include_url=False)[0]["loc"]
        place, value, hint = _inner(f"{path}{name}", values[str(name)], hints[str(name)], inner)
        raise ConfigError.of(
            about, place, value, expected=_expected(hint, value),
            remedy=_did_you_mean(value, _choices(hint), file),
        ) from None  # fmt: skip


def _inner(place: str, value: Any, hint: Any, inner: list[int | str]) -> tuple[str, object, Any]:
    """Follow pydantic's location into tuples and mappings."""
    for depth, part in enumerate(inner, start=1):
        if isinstance(value, tuple) and get_origin(hint) is tuple:
            place, value, hint = f"{place}[{part}]", value[int(part)], get_args(hint)[0]
        elif isinstance(value, Mapping) and part in value:
            key, item = get_args(hint)
            if inner[depth:] == ["[key]"]:
                return f"a name of {place}", part, key
            place, value, hint = f"{place}.{part}", value[part], item
        else:
            break
    return place, value, hint


def _expected(hint: Any, value: object = None) -> str:
    """Describe a type to an operator who wrote a value of another one."""
    parts = []
    for one in _alternatives(hint):
        origin, args = get_origin(one), get_args(one)
        if origin is Literal:
            parts.append(f"one of {', '.join(map(str, args))}")
        elif origin is tuple:
            parts.append(f"a tuple of {_several(args[0])}{_example(args[0], value)}")
        elif origin is not None:
            parts.append("a mapping of text to text, such as {'NAME': 'value'}")
        else:
            parts.append(_WORDS.get(one) or f"{one.__name__}(...)")
    *first, last = parts
    return f"{', '.join(first)} or {last}" if first else last


def _several(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"tuples of {_several(get_args(hint)[0])}"
    return {str: "texts", int: "whole numbers"}.get(hint) or _expected(hint)


def _example(item: Any, value: object) -> str:
    """Show the tuple that an operator means who wrote one item of it, or a list of them."""
    items = value if isinstance(value, list) else [value]
    if not items or not isinstance(item, type) or not all(isinstance(one, item) for one in items):
        return ""
    example = repr(tuple(items)) if item in (str, int) else f"({item.__name__}(...),)"
    return f", such as {example}" if len(example) <= 80 else ""


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(hint: Any) -> list[str]:
    literals = (one for one in _alternatives(hint) if get_origin(one) is Literal)
    return [str(choice) for literal in literals for choice in get_args(literal)]


def _did_you_mean(written: object, known: Any, file: str) -> str:
    near = difflib.get_close_matches(str(written), known, n=1) if known else []
    return f"Did you mean {near[0]}?" if near else f"Correct it in {file}"


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


@functools.cache
def _required(cls: type) -> tuple[str, ...]:
    missing = dataclasses.MISSING
    return tuple(
        field.name
        for field in dataclasses.fields(cls)
        if field.default is missing and field.default_factory is missing
    )


@functools.cache
def _validator_of(cls: type) -> Any:
    return _validator(_hints(cls))


def _validator(hints: Mapping[str, Any]) -> Any:
    # Imported here, and without pydantic around it, whose import takes longer than a command's
    # other work.
    from pydantic_core import SchemaValidator, core_schema

    fields = {
        name: core_schema.typed_dict_field(_schema(hint), required=False)
        for name, hint in hints.items()
    }
    return SchemaValidator(core_schema.typed_dict_schema(fields))


def _schema(hint: Any) -> Any:
    from pydantic_core import core_schema

    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return core_schema.union_schema([_schema(one) for one in args], mode="left_to_right")
    if origin is Literal:
        return core_schema.literal_schema(list(args))
    if origin is tuple:
        return core_schema.tuple_variable_schema(_schema(args[0]), strict=True)
    if origin is not None:
        # A strict one would refuse every mapping that is not a dict.
        return core_schema.dict_schema(*map(_schema, args))
    if hint in _WORDS:
        return {"type": {NoneType: "none"}.get(hint, hint.__name__), "strict": True}
    return core_schema.is_instance_schema(hint)
