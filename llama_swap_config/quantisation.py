"""Labels of a quantisation and names of files, which people spell in several ways."""

from __future__ import annotations

import re
import unicodedata

LABEL = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*", re.ASCII)
"""Any label: publishers invent new ones, such as UD-Q4_K_XL, i1-Q4_K_M and MXFP4_MOE."""
LONGEST_LABEL = 32
_SEPARATOR = re.compile(r"[-_. +]")
_SYNONYMS = {"fp16": "f16", "fp32": "f32"}


def words(text: str) -> tuple[str, ...]:
    """Split a label or a file name, so that case and separators do not matter."""
    return tuple(_SYNONYMS.get(word, word) for word in _SEPARATOR.split(text.lower()))


def is_same_name(name: str, other: str) -> bool:
    """Whether two names look the same: a Mac decomposes `é`, an editor composes it."""
    return unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)
