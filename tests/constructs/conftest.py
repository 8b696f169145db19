"""The stack of the frozen declaration, and its serving pod."""

from __future__ import annotations

from typing import Any

import pytest

from tests.constructs.synthesized import resources

Json = dict[str, Any]


@pytest.fixture(scope="session")
def deployed(production: Json) -> dict[str, Json]:
    return resources(production)


@pytest.fixture
def deployment(deployed: dict[str, Json]) -> Json:
    return deployed["deployment_v1.llama-swap"]


@pytest.fixture
def container(deployment: Json) -> Json:
    (only,) = deployment["spec"]["template"]["spec"]["container"]
    container: Json = only
    return container
