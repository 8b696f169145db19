"""Make and retire keys: at most two are valid, so that clients change without a failed request."""

from __future__ import annotations

from datetime import UTC, datetime

from in_pod.gateway.contract import MOST_KEYS
from ops.commands.gateway.keys.store import KeyStore, Stored
from ops.endpoint.consumer_keys import (
    BrokenEntryError,
    Entries,
    KeyHash,
    hash_of,
    new_key,
    valid_keys,
    with_key,
    without_consumer,
    without_key,
)
from ops.errors import OpsError, RefusedError
from ops.report.words import count

_KEYS = "python -m ops gateway keys"


def make(store: KeyStore, consumer: str) -> tuple[str, KeyHash, Stored]:
    """Make a key and store its hash.

    Args:
        store: Where the hashes are.
        consumer: Its name; whether it is declared is the caller's to check.

    Returns:
        The key, which nothing keeps; its hash; what was stored before.

    Raises:
        RefusedError: when the consumer has two valid keys.
        OpsError: when its entry is broken, or the store cannot be changed.
    """
    key = new_key()
    made = hash_of(key, datetime.now(UTC).date())

    def edit(entries: Entries) -> dict[str, str]:
        valid = _valid(store, entries, consumer)
        if len(valid) >= MOST_KEYS:
            raise RefusedError(
                f"consumer {consumer!r} has {len(valid)} valid keys, of "
                f"{' and '.join(key.since.isoformat() for key in valid)}; expected at most "
                f"{MOST_KEYS - 1} before another is made. When its clients use the newest, "
                f"`{_KEYS} retire {consumer}{store.options}`"
            )
        return with_key(entries, consumer, made)

    return key, made, store.change(edit)


def unmake(store: KeyStore, consumer: str, made: KeyHash) -> None:
    """Remove a key that nobody got.

    Raises:
        OpsError: when the store cannot be changed.
    """
    store.change(lambda entries: without_key(entries, consumer, made))


def retire(store: KeyStore, consumer: str) -> tuple[KeyHash, Stored]:
    """Remove the oldest of a consumer's keys, and never the last.

    Returns:
        The removed key's hash, and what was stored before.

    Raises:
        RefusedError: when the consumer has only one key.
        OpsError: when it has no entry, the entry is broken, or the store cannot be changed.
    """
    removed: list[KeyHash] = []

    def edit(entries: Entries) -> dict[str, str]:
        check_entry(store, entries, consumer)
        valid = _valid(store, entries, consumer)
        if len(valid) < MOST_KEYS:
            raise RefusedError(
                f"consumer {consumer!r} has {count(len(valid), 'valid key')}; expected "
                f"{MOST_KEYS}, of which the older is removed. Make its successor with "
                f"`{_KEYS} new {consumer}{store.options}`, or pass --all to close the gateway to "
                "it"
            )
        removed[:] = valid[:1]
        return without_key(entries, consumer, valid[0])

    before = store.change(edit)
    return removed[0], before


def retire_all(store: KeyStore, consumer: str) -> Stored:
    """Remove the entry of a consumer, declared or not, broken or not.

    Returns:
        What was stored before.

    Raises:
        OpsError: when it has no entry, or the store cannot be changed.
    """

    def edit(entries: Entries) -> dict[str, str]:
        check_entry(store, entries, consumer)
        return without_consumer(entries, consumer)

    return store.change(edit)


def check_entry(store: KeyStore, entries: Entries, consumer: str) -> None:
    """Require an entry.

    Raises:
        OpsError: naming those that exist.
    """
    if consumer not in entries:
        known = ", ".join(entries) or "none"
        raise OpsError(
            f"CONSUMER is {consumer!r}; expected an entry of {store.place}: {known}. "
            f"`{_KEYS}{store.options}` lists them"
        )


def _valid(store: KeyStore, entries: Entries, consumer: str) -> tuple[KeyHash, ...]:
    try:
        return valid_keys(entries.get(consumer, ""))
    except BrokenEntryError as error:
        raise OpsError(
            f"entry {consumer!r} of {store.place}: {error}. The gateway refuses this consumer: "
            f"`{_KEYS} retire {consumer} --all{store.options}`, then make a key"
        ) from error
