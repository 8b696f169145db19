"""The consumers' keys: sha256 sums in a mounted Secret, which is read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from .contract import KEY_LINE, MOST_KEYS

_LOG = logging.getLogger(__name__)
_LINE = re.compile(KEY_LINE, re.ASCII)
_MOST_BYTES = 4096


class Keys:
    """Knows which consumer a key belongs to."""

    def __init__(self, directory: Path, consumers: Collection[str]) -> None:
        """Read the keys.

        Args:
            directory: A file for each consumer, named like it, with a line for each valid key.
            consumers: The names of the policy.
        """
        self._directory = directory
        self._consumers = tuple(consumers)
        self._sums: Mapping[str, tuple[bytes, ...]] = {}
        self._state: tuple[object, ...] | None = None
        self.closed: Mapping[str, str] = {}
        """Consumer without a valid key -> why."""
        self.refresh()

    def consumer_of(self, key: str) -> str | None:
        """Return the consumer that a key belongs to; None if there is none.

        The time does not depend on the key: each sum is compared, and as a whole.
        """
        self.refresh()
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        matching = [
            name
            for name, sums in self._sums.items()
            for each in sums
            if hmac.compare_digest(each, digest)
        ]
        return matching[0] if matching else None

    def is_closed(self, name: str) -> bool:
        """Whether a consumer has no valid key now."""
        self.refresh()
        return name in self.closed

    def refresh(self) -> None:
        """Read the files again if one has changed since the last time."""
        state = tuple(self._stat(name) for name in self._consumers)
        if state == self._state:
            return
        self._state = state
        sums: dict[str, tuple[bytes, ...]] = {}
        closed: dict[str, str] = {}
        for name in self._consumers:
            try:
                sums[name] = self._read(name)
            except (OSError, ValueError) as error:
                closed[name] = " ".join(str(error).split())
        _close_shared(sums, closed)
        for name in sorted(closed.keys() - self.closed.keys()):
            _LOG.warning("consumer %s is closed: %s", name, closed[name])
        for name in sorted(self.closed.keys() - closed.keys()):
            _LOG.warning("consumer %s is open again", name)
        self._sums, self.closed = sums, closed

    def _stat(self, name: str) -> tuple[int, ...] | None:
        try:
            found = (self._directory / name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

    def _read(self, name: str) -> tuple[bytes, ...]:
        path = self._directory / name
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        lines = text.decode("ascii", "replace").splitlines()
        matches = [_LINE.fullmatch(line) for line in lines]
        if not 1 <= len(lines) <= MOST_KEYS or None in matches or len(text) > _MOST_BYTES:
            # The text itself may be a key that someone wrote here by mistake.
            raise ValueError(
                f"{path} has {len(lines)} lines, {matches.count(None)} of them malformed; "
                f"expected 1 to {MOST_KEYS} lines 'sha256:<hex of the key> <date>'. Write it by "
                "`python -m ops gateway keys`"
            )
        return tuple(bytes.fromhex(match[1]) for match in matches if match)


def _close_shared(sums: dict[str, tuple[bytes, ...]], closed: dict[str, str]) -> None:
    """Close consumers that have a key in common: nobody could say whose request it is."""
    owners: dict[bytes, list[str]] = {}
    for name, digests in sums.items():
        for digest in set(digests):
            owners.setdefault(digest, []).append(name)
    for names in owners.values():
        for name in names if len(names) > 1 else ():
            others = ", ".join(other for other in names if other != name)
            sums.pop(name, None)
            closed[name] = f"its key is also that of {others}; give each consumer its own"
