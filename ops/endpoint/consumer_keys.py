"""The keys of the gateway's consumers, as hashes: one entry for each consumer, one line for a key.

A Secret and a directory hold the same entries; in_pod/gateway reads either.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from in_pod.gateway.contract import KEY_LINE, KEY_PREFIX, MOST_KEYS
from ops.errors import OpsError

Entries = Mapping[str, str]
"""Name of a consumer -> its lines."""
_LINE = re.compile(KEY_LINE, re.ASCII)


class BrokenEntryError(OpsError):
    """An entry that the gateway cannot read; the message says which line and never shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHash:
    """A valid key, of which only the hash is known."""

    sha256: str
    since: date

    @property
    def line(self) -> str:
        """Its line of an entry."""
        return f"sha256:{self.sha256} {self.since.isoformat()}"


def new_key() -> str:
    """Make a key."""
    return f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"


def hash_of(key: str, since: date) -> KeyHash:
    """Return the hash of a key."""
    return KeyHash(sha256=hashlib.sha256(key.encode()).hexdigest(), since=since)


def valid_keys(entry: str) -> tuple[KeyHash, ...]:
    """Read the entry of a consumer, the oldest key first.

    Raises:
        BrokenEntryError: naming the first line that is not a key's hash and its date.
    """
    return tuple(_key(number, line) for number, line in enumerate(entry.splitlines(), start=1))


def _key(number: int, line: str) -> KeyHash:
    found = _LINE.fullmatch(line)
    try:
        if found:
            return KeyHash(sha256=found[1], since=date.fromisoformat(found[2]))
    except ValueError:
        pass
    what = "is a key itself" if line.startswith(KEY_PREFIX) else "is cut or damaged"
    raise BrokenEntryError(f"line {number} {what}; expected `sha256:HEX YYYY-MM-DD`")


def problems(consumers: Iterable[str], entries: Entries) -> dict[str, str]:
    """Return why the gateway refuses consumers, as in_pod/gateway does: consumer -> reason.

    Args:
        consumers: The declared names.
        entries: What the store has.
    """
    found: dict[str, str] = {}
    owners: dict[str, list[str]] = defaultdict(list)
    for consumer in consumers:
        try:
            valid = valid_keys(entries.get(consumer, ""))
        except BrokenEntryError as error:
            found[consumer] = str(error)
            continue
        if not 1 <= len(valid) <= MOST_KEYS:
            found[consumer] = f"it has {len(valid) or 'no'} keys; expected 1 or {MOST_KEYS}"
            continue
        for sha256 in {key.sha256 for key in valid}:
            owners[sha256].append(consumer)
    for sharing in owners.values():
        for consumer in sharing if len(sharing) > 1 else ():
            others = ", ".join(other for other in sharing if other != consumer)
            found[consumer] = f"its key is also that of {others}"
    return found


def with_key(entries: Entries, consumer: str, key: KeyHash) -> dict[str, str]:
    """Return the entries with one more key of a consumer, the newest.

    Raises:
        BrokenEntryError: when the consumer's entry cannot be read.
    """
    return {**entries, consumer: _entry(*valid_keys(entries.get(consumer, "")), key)}


def without_key(entries: Entries, consumer: str, key: KeyHash) -> dict[str, str]:
    """Return the entries without one key of a consumer.

    Raises:
        BrokenEntryError: when the consumer's entry cannot be read.
    """
    kept = [valid for valid in valid_keys(entries.get(consumer, "")) if valid != key]
    return {**without_consumer(entries, consumer), **({consumer: _entry(*kept)} if kept else {})}


def without_consumer(entries: Entries, consumer: str) -> dict[str, str]:
    """Return the entries without those of a consumer, whether it can be read or not."""
    return {name: entry for name, entry in entries.items() if name != consumer}


def digest(entries: Entries) -> str:
    """Return the sha256 of all entries, which a change by hand does not keep."""
    return hashlib.sha256(json.dumps(dict(entries), sort_keys=True).encode()).hexdigest()


def _entry(*keys: KeyHash) -> str:
    return "".join(f"{key.line}\n" for key in keys)
