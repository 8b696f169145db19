"""What the tests of drift share: the frozen declaration, as drift holds it against a source."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ops.commands.drift.declared import Declared, declared_of
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import SETTINGS


@pytest.fixture(scope="session")
def declared(production: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Declared:
    return declared_of(SETTINGS, DECLARATION, production, directory=tmp_path_factory.mktemp("app"))


@pytest.fixture
def config(declared: Declared) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(declared.program.config)
    return document
