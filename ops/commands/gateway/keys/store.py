"""The place of the keys' entries, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ops.endpoint.consumer_keys import Entries

Edit = Callable[[Entries], dict[str, str]]
"""Makes the entries after a change of those before it; may run again if somebody else was faster,
and raises what makes the change impossible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The entries as they are."""

    entries: Entries
    by_hand: bool = False
    """Whether somebody changed them without this command."""


class KeyStore(Protocol):
    """A Secret, or a directory on this machine."""

    @property
    def place(self) -> str:
        """Its name in a message: `Secret litellm/gateway-keys`."""

    @property
    def options(self) -> str:
        """What a command to type needs to mean this store: ` --dir DIR`, or nothing."""

    def read(self) -> Stored:
        """Read the entries.

        Raises:
            OpsError: when they cannot be read, or belong to somebody else.
        """

    def change(self, edit: Edit) -> Stored:
        """Change the entries; concurrent changes do not undo each other.

        Returns:
            The entries before the change.

        Raises:
            OpsError: as `read`, when they cannot be written, and what `edit` raises.
        """
