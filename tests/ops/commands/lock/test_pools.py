"""`ops lock` where there are several pools: each model is measured for its home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llama_swap_config import registry
from llama_swap_config.lock.file import read_lock
from ops.hub.local_hub import HubHandler
from ops.machine.llama_build import BUILD
from stacks import production
from tests.declaration.pools import POOLED, RTX3090, T4
from tests.ops.commands.lock.lock_runs import (
    TEXT,
    VISION,
    lock,
    make_files,
    running,
    surroundings,
)


@pytest.fixture(autouse=True)
def _pools(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Two engines: the first pool's, and another one of the second pool."""
    surroundings(monkeypatch, tmp_path / "headers")
    second, third = POOLED.pools
    pooled = replace(POOLED, pools=(replace(second, engine_build=BUILD), third))
    monkeypatch.setattr(production, "PRODUCTION", pooled)
    house(monkeypatch, seeing=(T4,), reading=(RTX3090,))
    with running(make_files(tmp_path_factory.mktemp("hub")), HubHandler, monkeypatch):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.lock.json"


def house(monkeypatch: pytest.MonkeyPatch, **homes: tuple[str, ...]) -> None:
    models = tuple(replace(model, pools=homes[model.id]) for model in (VISION, TEXT))
    monkeypatch.setattr(registry, "REGISTRY", models)


def builds(path: Path) -> dict[str, list[int]]:
    return {
        model: [measured.engine_build for measured in entry.memory]
        for model, entry in read_lock(path).items()
    }


def test_each_model_is_measured_with_the_engine_of_its_home(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    said = capsys.readouterr().out
    assert f"seeing: llama.cpp b{POOLED.engine_build} takes " in said
    assert f"reading: llama.cpp b{BUILD} takes " in said
    assert builds(path) == {"reading": [BUILD], "seeing": [POOLED.engine_build]}
    assert lock(path, "--check") == 0


def test_a_model_that_moves_to_another_engine_is_measured_once_more(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lock(path) == 0
    house(monkeypatch, seeing=(RTX3090,), reading=(RTX3090,))
    assert lock(path, "--check") == 1
    captured = capsys.readouterr()
    assert f"model 'seeing': memory is 'b{POOLED.engine_build} with " in captured.out
    assert captured.err.startswith("error: 1 of 2 models are not locked.")
    assert lock(path) == 0
    assert builds(path) == {"reading": [BUILD], "seeing": [POOLED.engine_build, BUILD]}


def test_a_model_without_a_home_yet_is_measured_for_the_first_pool(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its figures are what `fit --propose` needs."""
    house(monkeypatch, seeing=(), reading=())
    assert lock(path) == 0
    assert builds(path) == {"reading": [POOLED.engine_build], "seeing": [POOLED.engine_build]}


def test_an_unknown_home_is_refused_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house(monkeypatch, seeing=("t44",), reading=(T4,))
    assert lock(path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: model 'seeing': pools is ('t44',); expected names of pools: t4, rtx3090, "
        "two-cards. Replace or remove 't44', or declare it in stacks/production.py."
    )
    assert not path.exists()
