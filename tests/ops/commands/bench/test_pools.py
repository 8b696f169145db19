"""`bench` with several pools: it asks the models of one, and a run stays with its pool."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.cli import main
from ops.commands.bench import whole_run
from ops.commands.bench.answers import load
from tests.declaration.pools import POOLED, POOLED_DECLARATION, RTX3090, T4, TWO_CARDS
from tests.fakes.scoring_server import ScoringServer
from tests.ops.commands.bench.photo_runs import bench, fails, photo_folder, runs

pytestmark = pytest.mark.usefixtures("bench_apart", "pooled")


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.declared.load_settings", lambda: POOLED)
    monkeypatch.setattr("stacks.declared.load", lambda _lock: POOLED_DECLARATION)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", 4)


def asked(run_dir: Path) -> set[str]:
    return {answer.model for answer in load(run_dir).answers}


def test_the_models_of_the_first_pool_are_asked(photos: Path, tmp_path: Path) -> None:
    with ScoringServer() as server:
        assert bench(server, photos) == 0
        (run_dir,) = runs(tmp_path)
        assert asked(run_dir) == {"qwen3vl-8b", "qwen3vl-4b"}
        # The same command on another pool is another run.
        assert bench(server, photos, "--pool", RTX3090) == 0
    assert load(run_dir).provenance["pool"] == T4
    (other,) = set(runs(tmp_path)) - {run_dir}
    assert asked(other) == {"qwen3vl-8b"}
    assert load(other).provenance["pool"] == RTX3090
    assert json.loads((other / "run.json").read_text())["settings"]["pool"] == RTX3090


def test_without_an_address_the_endpoint_of_the_pool_is_asked(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded: list[str | None] = []
    with ScoringServer() as server:

        @contextmanager
        def forward(pool: str | None) -> Iterator[str]:
            forwarded.append(pool)
            yield server.url

        monkeypatch.setattr(whole_run, "to_production", forward)
        assert main(["bench", str(photos), "--pool", RTX3090]) == 0
        monkeypatch.setenv("LLAMA_SWAP_POOL", TWO_CARDS)
        assert main(["bench", str(photos), "--model", "qwen3vl-4b"]) == 0
    assert forwarded == [RTX3090, TWO_CARDS]


def test_a_run_is_resumed_on_its_pool_alone(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir, "--pool", RTX3090) == 0
        assert bench(server, "--run", run_dir) == 0
        line = fails(capsys, "--run", run_dir, "--pool", T4, "--url", server.url)
    assert f"--pool is t4, but {run_dir} was started on pool rtx3090" in line
    assert asked(run_dir) == {"qwen3vl-8b"}
    assert load(run_dir).provenance["pool"] == RTX3090


def test_a_model_of_another_pool_is_named_with_its_pool(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        "--model is 'minicpm-v-4-5', which is of pool two-cards; expected one of pool t4: "
        "qwen3vl-8b, qwen3vl-4b. Pass --pool two-cards"
    ) in fails(capsys, photos, "--model", "minicpm-v-4-5")
    assert "--model is 'gpt'; expected one of qwen3vl-8b, qwen3vl-4b" in fails(
        capsys, photos, "--model", "gpt"
    )
    assert "expected one of t4, rtx3090, two-cards" in fails(capsys, photos, "--pool", "a100")
    assert not (tmp_path / "bench-runs").exists()


def test_a_window_borrows_the_cards_of_the_pool(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tmp_path / "words"
    monkeypatch.setattr(
        "ops.commands.bench.whole_run.sys.executable", str(photos.parent / "python")
    )
    program = photos.parent / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > {words}\n')
    program.chmod(0o755)
    assert main(["bench", str(photos), "--pool", TWO_CARDS, "--window", "30m"]) == 0
    assert words.read_text().startswith("-m ops window --pool two-cards --for 1800s -- ")


def test_the_run_in_a_window_asks_its_pool(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_window(_window_s: int, arguments: Sequence[str], *, pool: str | None) -> int:
        assert pool == TWO_CARDS
        with ScoringServer() as server:
            monkeypatch.setenv("LLAMA_SWAP_URL", server.url)
            return main(list(arguments))

    monkeypatch.setattr(whole_run, "in_window", in_window)
    assert main(["bench", str(photos), "--pool", TWO_CARDS, "--window", "30m"]) == 0
    (run_dir,) = runs(tmp_path)
    assert asked(run_dir) == {"minicpm-v-4-5", "qwen3vl-4b"}
    assert load(run_dir).provenance["engine_build"] == f"b{POOLED.engine_build}"


def test_a_run_from_before_there_were_pools_is_of_the_first(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "mine"
    with ScoringServer() as server:
        assert bench(server, photos, "--run", run_dir) == 0
        header = json.loads((run_dir / "run.json").read_text())
        del header["settings"]["pool"]
        (run_dir / "run.json").write_text(json.dumps(header))
        assert bench(server, "--run", run_dir) == 0
        assert "was started on pool t4" in fails(
            capsys, "--run", run_dir, "--pool", RTX3090, "--url", server.url
        )
