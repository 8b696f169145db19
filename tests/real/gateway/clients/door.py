"""A port that leads to a server while it is open, as a pod's is while the pod runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ops.machine.ports import usable_port


class Door:
    """The port, closed at first: a connection to it is refused."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = usable_port(None)
        self._target = target
        self._listening: socket.socket | None = None
        self._ends: list[socket.socket] = []

    def open(self) -> None:
        """Accept connections."""
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
            threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        for here in self._ends:
            with suppress(OSError):  # It has ended before.
                here.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listening.accept()
                threading.Thread(target=self._relay, args=(here,), daemon=True).start()

    def _relay(self, here: socket.socket) -> None:
        with here, socket.create_connection(self._target) as there:
            self._ends.append(here)
            answers = threading.Thread(target=_copy, args=(there, here))
            answers.start()
            _copy(here, there)
            answers.join()


@contextmanager
def door(host: str, port: int) -> Iterator[Door]:
    """Make a door to a server on this machine, and close it at the end."""
    made = Door((host, port))
    try:
        yield made
    finally:
        made.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
