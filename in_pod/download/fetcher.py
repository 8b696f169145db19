"""The thread of one connection."""

from __future__ import annotations

import collections
import time
from dataclasses import dataclass, field

from .connection import Connection, Response
from .contract import NOT_AS_PLANNED
from .errors import DownloadError, RetryError
from .filler import Filler
from .headers import whole_number
from .hub import Addresses, Hub, check_status
from .pace import Patience
from .segments import Segments
from .transfer import Transfer


@dataclass(slots=True, kw_only=True)
class Fetcher:
    """Takes one segment after the other and requests its bytes."""

    hub: Hub
    addresses: Addresses
    segments: Segments
    patience: Patience
    filler: Filler
    _connection: Connection | None = field(default=None, init=False)

    def __call__(self) -> None:
        """Fetch until all files are done.

        Raises:
            DownloadError: when the run cannot succeed.
        """
        failures: collections.Counter[Transfer] = collections.Counter()
        put_off: dict[Transfer, float] = {}
        try:
            while (item := self.segments.take(put_off)) is not None:
                transfer, index = item
                before = transfer.range(index)[0]
                try:
                    self._receive(self._connected(transfer), transfer, index)
                    failures[transfer] = 0
                except RetryError as error:
                    self._close()
                    progress = transfer.range(index)[0] > before
                    failures[transfer] = 0 if progress else failures[transfer] + 1
                    pause_s = self.patience.pause_s(
                        transfer.file.name,
                        str(error),
                        failures=failures[transfer],
                        wait_s=error.wait_s,
                    )
                    if error.wait_s:
                        self.segments.pause(error.wait_s)
                    put_off[transfer] = time.monotonic() + pause_s
                self.segments.release(transfer, index)
        finally:
            self._close()

    def _connected(self, transfer: Transfer) -> Connection:
        """Return a connection to the file's address, reusing the present one if possible."""
        address = self.addresses.of(transfer.file)
        if self._connection is None or self._connection.address != address:
            self._close()
            self._connection = self.hub.open(address)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _receive(self, connection: Connection, transfer: Transfer, index: int) -> None:
        """Fill a segment.

        Raises:
            DownloadError: when the answer shows that the file differs from the plan.
            RetryError: when the segment is incomplete and another connection may fill it.
        """
        file, at_hub = transfer.file, connection.address.at_hub
        first, end = transfer.range(index)
        if first == end:
            return
        response = connection.get(first, end - 1)
        if response.status in (301, 302, 303, 307, 308) and not at_hub:
            self.addresses.note(file, self.hub.redirected(file, connection.address, response))
            raise RetryError(f"HTTP {response.status}")
        if 300 <= response.status < 400 or (
            not at_hub and response.status in (400, 401, 403, 404, 410)
        ):
            # An expired signed address; only the hub can refuse access.
            self.addresses.forget(file)
            raise RetryError(f"HTTP {response.status} from a signed address")
        check_status(file, response, at_hub=at_hub)
        if response.status == 200:
            try:
                self._receive_whole(response, transfer, index)
            finally:
                connection.close()
            return
        expected = f"bytes {first}-{end - 1}/{file.size_bytes}"
        content_range = response.headers.get("Content-Range", "")
        total = whole_number(content_range.rpartition("/")[2])
        if total not in (None, file.size_bytes):
            raise DownloadError(
                NOT_AS_PLANNED,
                f"{file.repository} {file.name}: the hub has {total} bytes instead of "
                f"{file.size_bytes}. Lock it again.",
            )
        if content_range != expected or response.length not in (None, end - first):
            raise RetryError("the server sent another range")
        self.filler.fill(response, transfer, index)

    def _receive_whole(self, response: Response, transfer: Transfer, index: int) -> None:
        """Download a file from a server without ranges: one connection, from the start."""
        if response.length not in (None, transfer.file.size_bytes):
            raise RetryError(f"{response.length} bytes instead of {transfer.file.size_bytes}")
        ours = self.segments.take_whole(transfer, index)
        if not ours:
            return  # Another connection downloads the file; this segment is retried after it.
        try:
            self.filler.fill_all(response, transfer, ours)
        finally:
            self.segments.release_whole(transfer, ours)
