"""The differences between the declaration and each source, one line per difference."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ops.errors import one_line
from ops.report.redaction import MARK, redact

Source = Literal["terraform", "cluster", "volume", "server", "gateway"]
"""The sources that are compared with the working tree."""
SOURCES: tuple[Source, ...] = get_args(Source)

ABSENT, PRESENT = "absent", "present"
PRESENCE = "presence"
"""The field whose value is ABSENT or PRESENT: whether the subject exists."""
NOT_SET = "not set"

_LONGEST = 100
_SECRET = re.compile(
    r"api[-_]?key|hf-token|_token|secret(?!ref|keyref)|passw(or)?d", re.IGNORECASE
)
_DIGEST = re.compile(r"(?<=sha256:)([0-9a-f]{12})[0-9a-f]{52}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value at one place."""

    text: str
    """One short printable line without secrets."""
    where: str
    """`in the ConfigMap`, `declared`."""
    who: str = ""
    """Who wrote it last: a field manager or a commit; empty if unknown."""
    time_s: float | None = None
    """When, in seconds since 1970; None if unknown."""

    def told(self, quote: Callable[[str], str]) -> str:
        """Write it for a sentence; `quote` marks untrusted text."""
        known = [self.who and quote(self.who), time_text(self.time_s)]
        in_brackets = ", ".join(detail for detail in known if detail)
        place = f"{self.where} ({in_brackets})" if in_brackets else self.where
        return f"{quote(self.text)} {place}" if self.text else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A difference that one source shows."""

    subject: str
    """`model qwen3vl-4b`, `Deployment llama-swap`."""
    field: str
    """As its own tool spells it: `--ctx-size`, `spec.replicas`; or PRESENCE."""
    found: Value
    declared: Value
    remedy: str
    """How to fix it."""
    pool: str = ""
    """The pool; empty: there is one, or it is of all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The findings of one source."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """Remarks that are not drift."""


class NotAskedError(Exception):
    """The source has nothing to compare, which is not an error; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference, with all sources that show it."""

    subject: str
    field: str
    found: tuple[tuple[Source, Value], ...]
    declared: Value
    remedy: str
    pool: str = ""
    """As of a finding."""

    @property
    def newer(self) -> Source | Literal["declared"] | None:
        """The side that was written last; None if unknown."""
        newest = [(value.time_s, source) for source, value in self.found if value.time_s]
        if self.declared.time_s is None or not newest:
            return None
        time_s, source = max(newest)
        return source if time_s > self.declared.time_s else "declared"

    @property
    def line(self) -> str:
        """The difference as the operator reads it."""
        return self.told(str)

    def told(self, quote: Callable[[str], str]) -> str:
        """Write it in a line; `quote` marks untrusted text."""
        values = ", ".join(value.told(quote) for _, value in self.found)
        declared = self.declared
        if self.field == PRESENCE:
            where = "declared" if declared.text == PRESENT else "not declared"
            what = f"is {values}, {replace(declared, text='', where=where).told(quote)}"
        else:
            what = f"{quote(self.field)} is {values}, {declared.told(quote)}"
        newer = "working tree" if self.newer == "declared" else self.newer
        age = f"the {newer} is newer; " if newer else ""
        pool = f"{quote(self.pool)}: " if self.pool else ""
        return f"{pool}{quote(self.subject)}: {what}: {age}{quote(self.remedy)}"


def merge(findings: Iterable[tuple[Source, Finding]]) -> tuple[Difference, ...]:
    """Join the findings of several sources on one field; the first remedy counts."""
    joined: dict[tuple[str, str, str], list[tuple[Source, Finding]]] = {}
    for source, finding in findings:
        place = finding.pool, finding.subject, finding.field
        joined.setdefault(place, []).append((source, finding))
    return tuple(
        Difference(
            subject=subject,
            field=field,
            found=tuple((source, finding.found) for source, finding in shown_by),
            declared=shown_by[0][1].declared,
            remedy=shown_by[0][1].remedy,
            pool=pool,
        )
        for (pool, subject, field), shown_by in joined.items()
    )


def value_text(field: str, value: object) -> str:
    """Redact, escape and shorten an untrusted value.

    Args:
        field: Its name, which tells whether it is secret.
        value: The value.
    """
    text = redact(str(value))
    if _SECRET.search(field) and not text.startswith("${env."):
        return MARK
    line = one_line(text[: 8 * _LONGEST], limit=8 * _LONGEST)
    line = _DIGEST.sub(r"\1", line)
    if len(text) <= 8 * _LONGEST and len(line) <= _LONGEST:
        return line or "empty"
    digest = hashlib.sha256(str(value).encode(errors="replace")).hexdigest()[:12]
    return f"{line[:60]}... ({len(text)} characters, sha256 {digest})"


def time_text(time_s: float | None) -> str:
    """Write a time in UTC, to the minute; empty if unknown."""
    return "" if time_s is None else time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(time_s))
