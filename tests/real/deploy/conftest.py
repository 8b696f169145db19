"""A PostgreSQL for the tests of one file, and a fresh clone for those that type `cdktf`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded import postgres
from ops.machine.node import packages_installed
from tests.real.deploy.activated import clone


@pytest.fixture(scope="module")
def postgresql(open_directory: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The connection string of an embedded PostgreSQL."""
    data = open_directory / str(request.path.stem)
    yield postgres.start(data)
    postgres.stop(data)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of the tree after `make install`."""
    if packages_installed() is None:
        pytest.skip("cdktf-cli is not installed (make cdktf)")
    return clone(tmp_path_factory.mktemp("clone"))
