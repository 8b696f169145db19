"""Redact and escape untrusted text for Markdown, a terminal or an error's line.

Anybody who opens a pull request writes names, descriptions and files. They must not change what is
around them: no markup, no mention, no link, no control sequence, no endless line.
"""

from __future__ import annotations

import re
import unicodedata

from ops.report.redaction import redact

MOST_CHARACTERS = 200
"""Of one value."""
MOST_OF_A_LINE = 1000
"""Of one line of a fenced text."""

_PLAIN = re.compile(r"[A-Za-z0-9 .,=/+()-]", re.ASCII)
_INNER_UNDERSCORE = re.compile(r"(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])", re.ASCII)
_WWW = re.compile(r"(www)[.]", re.IGNORECASE)
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"
"""Letters and symbols that are blank."""


def visible(text: str) -> str:
    r"""Escape the characters that a reader cannot see or that reorder others.

    Control characters, line ends, bidirectional and zero-width characters, accents without a
    letter, private and unassigned code points; an ANSI escape becomes `\x1b[31m`.
    """
    return "".join(map(_visible, unicodedata.normalize("NFC", text)))


def redacted_line(text: str, most: int = 400) -> str:
    """Redact, escape and shorten a value for an error's line or a terminal."""
    return cut(visible(redact(text)), most)


def cut(text: str, most: int) -> str:
    """Shorten a long text and append its length."""
    if len(text) <= most:
        return text
    return f"{text[: most - 40]}... ({len(text):,} characters)"


def inline(text: str, most: int = MOST_CHARACTERS) -> str:
    """Write a value for a sentence, a table or a summary of Markdown: `<code>` of entities."""
    shown = redacted_line(text, most)
    inner = {match.start() for match in _INNER_UNDERSCORE.finditer(shown)}
    characters = (
        character
        if _PLAIN.match(character) or index in inner or character.isalpha()
        else f"&#{ord(character)};"
        for index, character in enumerate(shown)
    )
    # `www.` starts a link even without a scheme.
    entities = _WWW.sub(r"\1&#46;", "".join(characters))
    return f"<code>{entities}</code>"


def lines(text: str) -> list[str]:
    """Split a file into lines, each redacted, escaped and shortened."""
    return [
        cut(visible(line), MOST_OF_A_LINE) for line in redact(text).removesuffix("\n").split("\n")
    ]


def fenced(shown: list[str], language: str) -> list[str]:
    """Write a fenced block of Markdown that none of its lines can end.

    Args:
        shown: Lines made by `lines`.
        language: What the lines are, such as `diff`.
    """
    runs = (len(run) for line in shown for run in re.findall("`+", line))
    fence = "`" * max(3, 1 + max(runs, default=0))
    return [f"{fence}{language}", *shown, fence]


def _visible(character: str) -> str:
    code = ord(character)
    if 32 <= code < 127:
        return character
    category = unicodedata.category(character)
    if category[0] in "CZM" or character in _BLANK:
        names = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
        width = "x%02x" if code < 256 else "u%04x" if code < 65536 else "U%08x"
        return names.get(character, "\\" + width % code)
    return character
