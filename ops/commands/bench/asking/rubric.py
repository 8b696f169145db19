"""The rubric: the questions, in a file that the owner edits."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.errors import OpsError

DEFAULT_RUBRIC = Path(__file__).with_name("rubric.toml")

_TEXTS = ("system", "question", "pair_question")
_FIELDS = (*_TEXTS, "labels", "criteria")
_LABEL = re.compile(r"[A-Za-z0-9]{1,20}")
_CRITERION = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_LABELS = 10
_MOST_CRITERIA = 12
_LONGEST = 8000
"""Characters of one text: a longer one would leave no room for the picture in the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One step of the scale."""

    label: str
    value: float
    """Its value in an expected score."""
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """The questions."""

    system: str
    question: str
    pair_question: str
    labels: tuple[Label, ...]
    """From worst to best."""
    criteria: Mapping[str, str]
    """Name -> its meaning; empty: the method `rubric` is not available."""

    @property
    def sha256(self) -> str:
        """Hash of the content, independent of the file's layout."""
        return hashlib.sha256(json.dumps(as_document(self)).encode()).hexdigest()


def read_rubric(path: Path = DEFAULT_RUBRIC) -> Rubric:
    """Read and check a rubric (default: the repository's own).

    Raises:
        OpsError: when it is not readable, or a field is invalid.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OpsError(f"the rubric {path} cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OpsError(f"the rubric {path} is not TOML ({error})") from error
    return rubric_of(document, where=f"the rubric {path}")


def rubric_of(document: Mapping[str, Any], *, where: str) -> Rubric:
    """Check a rubric's document; errors call it `where`.

    Raises:
        OpsError: when a field is invalid.
    """
    unknown = set(document) - set(_FIELDS)
    if unknown:
        raise OpsError(f"{where} has the field {min(unknown)!r}; expected {', '.join(_FIELDS)}")
    texts = {name: _text(where, name, document.get(name)) for name in _TEXTS}
    return Rubric(
        **texts,
        labels=_labels(where, document.get("labels")),
        criteria=_criteria(where, document.get("criteria", {})),
    )


def as_document(rubric: Rubric) -> dict[str, Any]:
    """Return a rubric as plain data, which `rubric_of` reads."""
    return {
        **{name: getattr(rubric, name) for name in _TEXTS},
        "labels": [asdict(label) for label in rubric.labels],
        "criteria": dict(rubric.criteria),
    }


def _text(where: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
        expected = f"a text of 1 to {_LONGEST} characters"
        raise OpsError(f"{where}: {name} is {_shown(value)}; expected {expected}")
    return value.strip()


def _labels(where: str, entries: Any) -> tuple[Label, ...]:
    expected = f'2 to {_MOST_LABELS} of {{ label = "1", meaning = "never post" }}, worst first'
    if not isinstance(entries, list) or not 2 <= len(entries) <= _MOST_LABELS:
        raise OpsError(f"{where}: labels is {_shown(entries)}; expected {expected}")
    labels = []
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not {"label"} <= set(entry) <= {
            "label",
            "value",
            "meaning",
        }:
            raise OpsError(f"{where}: label {place} is {_shown(entry)}; expected {expected}")
        text, value = entry["label"], entry.get("value", place)
        if not isinstance(text, str) or not _LABEL.fullmatch(text):
            raise OpsError(
                f"{where}: label {place} is {_shown(text)}; expected a digit or one plain word"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
            raise OpsError(f"{where}: the value of {text!r} is {_shown(value)}; expected a number")
        meaning = entry.get("meaning", "")
        if meaning:
            _text(where, f"the meaning of {text!r}", meaning)
        labels.append(Label(label=text, value=float(value), meaning=meaning))
    texts = [label.label for label in labels]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise OpsError(f"{where}: label {twice!r} appears twice; expected each label once")
    values = [label.value for label in labels]
    if values != sorted(set(values)):
        raise OpsError(f"{where}: the values are {values}; expected each above the one before it")
    return tuple(labels)


def _criteria(where: str, entries: Any) -> dict[str, str]:
    if not isinstance(entries, dict) or len(entries) > _MOST_CRITERIA:
        raise OpsError(
            f"{where}: criteria is {_shown(entries)}; expected at most {_MOST_CRITERIA} of "
            'name = "what it means"'
        )
    for name, meaning in entries.items():
        if not _CRITERION.fullmatch(name):
            raise OpsError(f"{where}: criterion is {name!r}; expected up to 40 of a-z, 0-9, '_'")
        _text(where, f"criterion {name!r}", meaning)
    return dict(entries)


def _shown(value: Any) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 80 else f"{text[:77]}..."
