"""What the tests share: the locked registry and one synthesized stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.lock import LockedModel, lock_models, read_lock
from llama_swap_config.model import Model
from llama_swap_config.registry import REGISTRY

ROOT = Path(__file__).parent.parent

Synth = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def locked() -> tuple[LockedModel, ...]:
    return lock_models(REGISTRY, read_lock())


@pytest.fixture(scope="session")
def synth() -> Synth:
    """Synthesize the stack with some settings replaced, as the JSON that Terraform reads."""
    from constructs.terraform import App, Testing
    from stacks.llama_cpp import LlamaCppStack
    from stacks.settings import PRODUCTION

    def synthesize(models: tuple[Model, ...] = REGISTRY, **changes: Any) -> dict[str, Any]:
        settings = replace(PRODUCTION, **changes)
        stack = LlamaCppStack(App(), "llama-cpp", settings=settings, models=models)
        document: dict[str, Any] = json.loads(Testing.synth(stack))
        return document

    return synthesize


@pytest.fixture(scope="session")
def production(synth: Synth) -> dict[str, Any]:
    return synth()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew, to be reviewed"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
