"""`serve --pool` serves the models that have a home in that pool, and no others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.cli import main
from ops.commands.serve import command
from ops.commands.serve import run as serve
from tests.declaration.pools import HOMES, HOUSED, POOLED, RTX3090, T4, TWO_CARDS
from tests.real.serve.test_serve import ids_at


@pytest.mark.parametrize(
    ("options", "pool"),
    [((), T4), (("--pool", RTX3090), RTX3090), (("--pool", TWO_CARDS), TWO_CARDS)],
    ids=[T4, RTX3090, TWO_CARDS],
)
def test_the_models_of_a_pool_are_served(
    options: tuple[str, ...],
    pool: str,
    llama_server: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stacks.production.PRODUCTION", POOLED)
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", HOUSED)
    monkeypatch.setenv("LLAMA_SERVER", str(llama_server))
    offered: list[set[str]] = []

    def look_and_leave(_seconds: float) -> None:
        running = serve.find(tmp_path)
        assert running is not None
        offered.append(ids_at(running.url))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=look_and_leave))
    assert main(["serve", "--state-dir", str(tmp_path), *options]) == 130
    assert offered == [{name for name, homes in HOMES.items() if pool in homes}]


def test_an_unknown_pool_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("stacks.production.PRODUCTION", POOLED)
    monkeypatch.setattr("llama_swap_config.registry.REGISTRY", HOUSED)
    assert main(["serve", "--state-dir", str(tmp_path / "state"), "--pool", "a100"]) == 1
    assert capsys.readouterr().err == (
        "error: --pool is 'a100'; expected one of t4, rtx3090, two-cards\n"
    )
    assert not (tmp_path / "state").exists()
