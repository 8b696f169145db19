"""A PostgreSQL for the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded import postgres


@pytest.fixture(scope="module")
def postgresql(open_directory: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The connection string of an embedded PostgreSQL."""
    data = open_directory / str(request.path.stem)
    yield postgres.start(data)
    postgres.stop(data)
