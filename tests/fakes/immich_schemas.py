"""Whether an answer of a fake Immich has every field that Immich's own description requires."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

_FIELDS = Path(__file__).with_name("immich_required_fields.json")
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "boolean": bool,
}

Version = tuple[int, ...]


@cache
def _versions() -> dict[Version, dict[str, dict[str, str]]]:
    versions = json.loads(_FIELDS.read_text())["versions"]
    return {tuple(map(int, text.split("."))): schemas for text, schemas in versions.items()}


def check_answer(answer: Any, of: str, version: Version) -> None:
    """Compare an answer with the newest description that is not newer than the version.

    Args:
        answer: The document.
        of: The type in the description's words, such as `AlbumResponseDto[]`.
        version: The version that the server pretends to be.
    """
    known = [described for described in _versions() if described <= version]
    _check(answer, of, _versions()[max(known, default=min(_versions()))], of)


def _check(value: Any, of: str, schemas: dict[str, dict[str, str]], where: str) -> None:
    of, _, null = of.partition(" | ")
    if null and value is None:
        return
    if of.endswith("[]"):
        assert isinstance(value, list), f"{where} is not a list"
        for number, item in enumerate(value):
            _check(item, of.removesuffix("[]"), schemas, f"{where}[{number}]")
    elif of in schemas:
        for name, type_of_field in schemas[of].items():
            assert name in value, f"{where} has no {name}"
            _check(value[name], type_of_field, schemas, f"{where}.{name}")
    elif of in _JSON_TYPES:
        assert isinstance(value, _JSON_TYPES[of]), f"{where} is no {of}: {value!r}"
    else:
        assert re.fullmatch(r"[A-Z]\w+", of), f"{where} has an unknown type {of}"
        assert isinstance(value, str), f"{where} is no {of}: {value!r}"
