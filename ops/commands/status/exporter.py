"""An exporter, asked again after it has not answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from ops.commands.status.state import State, read_state
from ops.endpoint.client import Endpoint
from ops.errors import OpsError

Forward = Callable[[], AbstractContextManager[str]]
"""Opens the way to the exporter, and yields its address."""


class Exporter:
    """The exporter of one pool."""

    def __init__(self, forward: Forward, opened: ExitStack) -> None:
        self._forward, self._opened = forward, opened
        self._client: Endpoint | None = None

    @classmethod
    @contextmanager
    def at(cls, forward: Forward) -> Iterator[Exporter]:
        """Use an exporter while the context lasts; nothing is opened before the first look.

        Args:
            forward: Opens the way to it; again after it has not answered.
        """
        with ExitStack() as opened:
            yield cls(forward, opened)

    def look(self) -> State | OpsError:
        """Return what it sees, or why it does not answer."""
        try:
            if self._client is None:
                address = self._opened.enter_context(self._forward())
                self._client = self._opened.enter_context(Endpoint(address))
            return read_state(self._client)
        except OpsError as error:
            self._client = None
            self._opened.close()
            return error
