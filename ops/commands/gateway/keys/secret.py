"""Keys in the gateway's Secret, and a consumer's key in a Secret of its own."""

from __future__ import annotations

from ops.cluster.api import Document, KubeApi
from ops.cluster.gateway_keys import changed_by_hand, encoded, entries_of, with_entries
from ops.cluster.own_secret import SecretPlace
from ops.commands.gateway.keys.store import Edit, Stored
from ops.endpoint.api_key import KEY_VARIABLE
from ops.errors import OpsError


class KeysSecret:
    """The entries of the gateway's Secret."""

    options = ""

    def __init__(self, api: KubeApi, place: SecretPlace) -> None:
        """Name the Secret; it is made by the first change."""
        self._api = api
        self._at = place
        self.place = str(place)

    def read(self) -> Stored:
        """Read the entries.

        Raises:
            OpsError: when somebody else manages the Secret, or it may not be read.
        """
        secret = self._at.read(self._api)
        self._at.check_ours(secret)
        return _stored(secret)

    def change(self, edit: Edit) -> Stored:
        """Change the entries; what was changed by hand stays known as such.

        Raises:
            OpsError: as `read`, when it may not be written, and what `edit` raises.
        """
        return self._write(edit, accept=False)

    def accept(self) -> Stored:
        """Record the present entries as known.

        Returns:
            The entries.

        Raises:
            OpsError: as `change`, and when the Secret does not exist.
        """
        if self._at.read(self._api) is None:
            raise OpsError(
                f"{self.place} does not exist; python -m ops gateway keys new CONSUMER makes it"
            )
        return self._write(dict, accept=True)

    def _write(self, edit: Edit, *, accept: bool) -> Stored:
        found: list[Stored] = []

        def edit_secret(secret: Document) -> Document:
            stored = _stored(secret)
            found[:] = [stored]
            return with_entries(secret, edit(stored.entries), stamp=accept or not stored.by_hand)

        self._at.change(self._api, edit_secret)
        return found[0]


def write_key(api: KubeApi, place: SecretPlace, key: str, *, dry_run: bool = False) -> None:
    """Write a key into a consumer's Secret, beside the entries that it has.

    Raises:
        UnsettledError: when it is not known whether it was written.
        OpsError: when it is somebody else's, or may not be written.
    """

    def edit(secret: Document) -> Document:
        return {**secret, "data": {**(secret.get("data") or {}), KEY_VARIABLE: encoded(key)}}

    place.change(api, edit, dry_run=dry_run)


def _stored(secret: Document | None) -> Stored:
    return Stored(entries=entries_of(secret), by_hand=changed_by_hand(secret))
