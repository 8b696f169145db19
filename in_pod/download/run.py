"""Download all missing files at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .contract import BAD_DATA, BLOBS
from .crew import Crew, Flusher, Hasher
from .errors import DownloadError
from .fetcher import Fetcher
from .filler import Filler
from .hub import Addresses, Hub
from .lease import Lease
from .pace import Growth, Patience, Rates, Speed
from .plan import File, Plan
from .progress import Progress, Report, Say, size_text
from .segments import Segments
from .transfer import Transfer
from .volume import publish

FIRST_CONNECTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Connections and time limits of a run."""

    connections: int = 16
    """Connections to the hub, in all."""
    patience_s: float = 120.0
    """Seconds without data after which the run ends."""
    lease_s: float = 60.0
    """Seconds without a heartbeat after which another run may take over the volume."""
    wait_s: float = 600.0
    """Seconds to wait for another run on the volume."""


class Run:
    """Connections that fill segments, a thread that hashes and one that flushes."""

    def __init__(
        self,
        plan: Plan,
        missing: list[File],
        models: Path,
        hub: Hub,
        *,
        publishing: bool,
        options: Options,
        lease: Lease,
        say: Say,
    ) -> None:
        """Prepare the transfers of the plan's missing files."""
        self._plan = plan
        self._models = models
        self._hub = hub
        self._publishing = publishing
        self._connections = options.connections
        self._lease = lease
        self._say = say
        self._transfers = [Transfer(file, models / BLOBS) for file in missing]
        self._crew = Crew()
        self._segments = Segments(self._transfers, self._crew)
        self._flusher = Flusher(self._transfers, self._crew)
        self._hasher = Hasher(
            self._transfers, self._crew, right=self._finish, wrong=self._start_over
        )
        self._addresses = Addresses(hub, missing)
        self._patience = Patience(options.patience_s)
        self._rates = Rates()

    def __call__(self, report: Report) -> None:
        """Download every file.

        Raises:
            DownloadError: when the download fails.
        """
        crew, limit = self._crew, self._connections
        done = sum(transfer.done_bytes for transfer in self._transfers)
        speed, growth = Speed(done), Growth(done)
        try:
            crew.start(self._hasher, self._flusher)
            connections = min(FIRST_CONNECTIONS, limit)
            crew.start(*self._fetchers(connections))
            while self._segments.unfinished and crew.error is None:
                with crew.changed:
                    crew.changed.wait(0.1)
                files = tuple((transfer.file, transfer.done_bytes) for transfer in self._transfers)
                done = sum(count for _, count in files)
                trouble = self._patience.trouble
                report(Progress(files=files, rate=speed.at(done), trouble=trouble))
                if connections < limit and growth.is_due(done):
                    more = min(connections, limit - connections)
                    crew.start(*self._fetchers(more))
                    connections += more
        finally:
            if crew.end():
                for transfer in self._transfers:
                    transfer.close()
        if crew.error is not None:
            raise crew.error

    def _fetchers(self, count: int) -> list[Fetcher]:
        return [
            Fetcher(
                hub=self._hub,
                addresses=self._addresses,
                segments=self._segments,
                patience=self._patience,
                filler=Filler(
                    crew=self._crew,
                    lease=self._lease,
                    flusher=self._flusher,
                    patience=self._patience,
                    rates=self._rates,
                ),
            )
            for _ in range(count)
        ]

    def _finish(self, transfer: Transfer) -> None:
        self._lease.check()
        transfer.finish()
        file = transfer.file
        self._say(
            f"{file.name}: complete, {size_text(file.size_bytes)}, sha256 {file.sha256[:12]}"
        )
        if self._publishing:
            unfinished = frozenset(
                other.file.sha256 for other in self._transfers if not other.finished
            )
            publish(self._models, self._plan, say=self._say, excluding=unfinished)
        self._segments.finish()

    def _start_over(self, transfer: Transfer) -> None:
        name = f"{transfer.file.repository} {transfer.file.name}"
        transfer.start_over()
        if transfer.wrong == 2:
            raise DownloadError(BAD_DATA, f"{name}: wrong sha256 twice. Lock it again.")
        self._say(f"{name}: wrong sha256; downloading it again")
        self._addresses.forget(transfer.file)
        self._crew.notify()
