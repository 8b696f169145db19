"""Serve the same tiny models with each front end in turn, once per test file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import get_args

import psutil
import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from ops.endpoint.api_key import KEY_VARIABLE
from tests.real.contract.endpoint import MODELS, Endpoint
from tests.real.serve.served import served

Serving = Callable[..., AbstractContextManager[Endpoint]]


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Check at the end that no program started in pytest's directory still runs."""
    yield
    ours = str(tmp_path_factory.getbasetemp())
    left = []
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if (process.info["name"] or "").startswith("llama-") and ours in " ".join(words):
            left.append(" ".join(words))
    assert left == []


@pytest.fixture(scope="module", params=get_args(FrontEndName))
def front_end(request: pytest.FixtureRequest) -> FrontEndName:
    name: FrontEndName = request.param
    return name


@pytest.fixture(scope="module")
def models() -> tuple[Model, ...]:
    """The served models; a test file may override it."""
    return MODELS


@pytest.fixture(scope="module")
def endpoint(
    front_end: FrontEndName,
    models: tuple[Model, ...],
    llama_server: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    """One endpoint per test file; it requires no key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(KEY_VARIABLE, raising=False)
        with served(models, tmp_path_factory.mktemp("served"), front_end) as running:
            yield Endpoint(served=running)


@pytest.fixture
def serving(
    front_end: FrontEndName, llama_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Serving:
    """An endpoint for one test, which may break it."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)

    @contextmanager
    def start(*models: Model) -> Iterator[Endpoint]:
        with served(models, tmp_path, front_end) as running:
            yield Endpoint(served=running)

    return start
