"""Tell a failure that lasts from one that goes away by itself."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ops.cluster.causes import Cause
from ops.cluster.object_states import Meaning

Key = tuple[str, Meaning, Cause | None]
"""Kind, meaning and cause; no name, because a pod that is made again has another one."""

_PATIENCE_S = 10
"""The kubelet and the controllers try again, and a Secret may come a moment after its pod."""
_PATIENCE_OF: dict[Cause | None, float] = {"crash": 0, "download": 0, "pull": 30, "start": 30}
"""A crash and a failed Job are told only after several tries. A pull or a start is tried
again after up to 25 s (kubelet 1.36)."""


class Patience:
    """Remembers since when something has been as it is."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._since: dict[Key, float] = {}

    def lasting(self, present: Iterable[Key]) -> set[Key]:
        """Return those that have been present for long enough to believe them.

        Args:
            present: All that is so now; what is missing starts again.
        """
        now = time.monotonic()
        self._since = {key: self._since.get(key, now) for key in present}
        return {
            key
            for key, since in self._since.items()
            if key[1] == "settled" or now - since >= _PATIENCE_OF.get(key[2], _PATIENCE_S)
        }
