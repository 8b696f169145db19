"""Run builds at once: one display, and the machine's jobs shared between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass

from ops.machine.build_display import BuildDisplay
from ops.machine.jobs import Jobs
from ops.machine.signals import ended_by_signals
from ops.report.terminal import Say

_AT_ONCE = 3
"""Jobs from which builds run at once: two for Go, one for ninja."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the builds of one command share."""

    display: BuildDisplay
    jobs: Jobs
    stopped: threading.Event

    def check(self) -> None:
        """Raise CancelledError if another build failed or the command was interrupted."""
        if self.stopped.is_set():
            raise CancelledError


_SHARED: ContextVar[Shared | None] = ContextVar("shared", default=None)


@contextmanager
def sharing(say: Say) -> Iterator[Shared]:
    """Yield what the builds of the surrounding `build_all` share, or something for one build."""
    shared = _SHARED.get()
    if shared is not None:
        yield shared
        return
    with ended_by_signals(), BuildDisplay(say) as display:
        shared = Shared(display=display, jobs=Jobs(), stopped=threading.Event())
        token = _SHARED.set(shared)
        try:
            yield shared
        finally:
            _SHARED.reset(token)


def build_all(builds: Sequence[Callable[[Say], object]], *, say: Say) -> None:
    """Call builds at once if the memory suffices, else in their order.

    Args:
        builds: Functions that return when their programs are there.
        say: Prints a line; called from several threads.

    Raises:
        OpsError: from the first build that fails; the others are stopped and resume next time.
    """
    with sharing(say) as shared:
        workers = len(builds) if shared.jobs.most >= _AT_ONCE else 1
        with ThreadPoolExecutor(max_workers=workers) as pool:
            futures = [pool.submit(copy_context().run, build, say) for build in builds]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                shared.stopped.set()
                for future in futures:
                    future.cancel()
                raise
