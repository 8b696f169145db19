"""What tests/live/ checks: the stack that this tree's `main.py` writes."""

from __future__ import annotations

from typing import Any

import pytest

from ops.errors import OpsError
from ops.terraform.synth import synthesize
from tests.live.snapshot import ROOT


@pytest.fixture(scope="session")
def refusal_or_stack(tmp_path_factory: pytest.TempPathFactory) -> OpsError | dict[str, Any]:
    """The synthesized JSON, or the line with which `main.py` refuses the declaration."""
    try:
        return synthesize(ROOT, tmp_path_factory.mktemp("live") / "cdktf.out").document
    except OpsError as error:
        return error


@pytest.fixture
def stack(refusal_or_stack: OpsError | dict[str, Any]) -> dict[str, Any]:
    if isinstance(refusal_or_stack, OpsError):
        pytest.skip("main.py refuses the declaration")
    return refusal_or_stack
