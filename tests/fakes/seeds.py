"""The seeds of a property test: a fixed few, or as many as fit into a time."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator

MINUTES_VARIABLE = "FUZZ_MINUTES"


def seeds(fixed: int) -> Iterator[int]:
    """Return the seeds from 1 on.

    Args:
        fixed: How many; with FUZZ_MINUTES=10 in the environment, as many as fit into ten minutes.
    """
    minutes = os.environ.get(MINUTES_VARIABLE)
    if not minutes:
        yield from range(1, fixed + 1)
        return
    end = time.monotonic() + 60 * float(minutes)
    for seed in itertools.count(1):
        if time.monotonic() > end:
            sys.stderr.write(f"seeds 1 to {seed - 1}\n")
            return
        yield seed
