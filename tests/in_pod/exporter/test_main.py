"""Starting the program: its plan, its arguments, and errors of one line."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from in_pod.exporter.__main__ import main
from in_pod.exporter.plan import Plan, read_plan
from llama_swap_config.fit.card import Machine
from llama_swap_config.plans.exporter import render_exporter_plan
from tests.declaration.frozen import DECLARATION
from tests.declaration.pools import POOLS, TWO_CARDS
from tests.declaration.settings import SETTINGS
from tests.in_pod.exporter.running import write_plan

VALID: dict[str, Any] = {
    "version": 1,
    "front_end": "llama-swap",
    "engine_build": 10524,
    "config_sha256": "0" * 64,
    "models": [{"id": "eyes", "aliases": ["e"], "vram_mib": 6744.0}],
}
MODEL: dict[str, Any] = VALID["models"][0]


def rendered(machine: Machine | None) -> str:
    return render_exporter_plan(
        DECLARATION.locked, front_end="llama-swap", config="text", machine=machine
    )


def test_the_rendered_plan_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(rendered(SETTINGS.node.machine))
    plan = read_plan(path)
    assert plan.ids == tuple(model.id for model in DECLARATION.models)
    assert plan.engine_build == SETTINGS.engine_build
    assert all(mib > 4000 for mib in plan.vram_mib.values())
    path.write_text(rendered(None))
    assert read_plan(path).vram_mib == {}


def test_a_plan_of_several_cards_has_what_each_model_takes_of_its_own(tmp_path: Path) -> None:
    (pool,) = (pool for pool in POOLS if pool.name == TWO_CARDS)
    first, second = pool.declaration.locked
    models = (first, replace(second, model=replace(second.model, cards=(1,))))
    path = tmp_path / "plan.json"
    path.write_text(
        render_exporter_plan(
            models,
            front_end="llama-swap",
            config="text",
            machine=pool.settings.node.machine,
            cards=pool.settings.gpu.count,
        )
    )
    plan = read_plan(path)
    assert plan.card_labels == ("0", "1")
    assert [*plan.vram_mib] == [(first.model.id, "0"), (second.model.id, "1")]


def test_the_plan_is_byte_stable() -> None:
    assert rendered(SETTINGS.node.machine) == rendered(SETTINGS.node.machine)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        json.dumps(VALID | {"version": 2}),
        json.dumps({key: value for key, value in VALID.items() if key != "models"}),
        json.dumps(VALID | {"models": 7}),
        json.dumps(VALID | {"models": [{"id": "eyes"}]}),
        json.dumps(VALID | {"models": [MODEL | {"vram_mib": "much"}]}),
        json.dumps(VALID | {"models": [MODEL | {"vram_mib_by_card": 7}]}),
        json.dumps(VALID | {"cards": "two"}),
        json.dumps(VALID | {"cards": 0}),
        json.dumps(VALID | {"cards": 10**9}),
        json.dumps(VALID | {"engine_build": "new"}),
        json.dumps(VALID | {"front_end": "nginx"}),
        "[" * 100_000,
    ],
)
def test_a_wrong_plan_is_an_error_of_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    assert main(["--url", "http://127.0.0.1:1", "--plan", str(path), "--no-cluster"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}")


@pytest.mark.parametrize(
    "url",
    ["", "llama-swap:8080", "ftp://llama-swap", "http://", "http://x:99999", "http://a:b@x",
     "http://x/path", "http://x?key=1", "http://x:port"],
)  # fmt: skip
def test_a_wrong_address_is_an_error_of_one_line(
    url: str, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_plan(tmp_path / "plan.json", plan)
    assert main(["--url", url, "--plan", str(path), "--no-cluster"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: --url is {url!r}; expected http://HOST:PORT"


def test_outside_a_pod_the_cluster_is_an_error_of_one_line(
    plan: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--url", "http://127.0.0.1:1", "--plan", str(write_plan(tmp_path / "p.json", plan))]
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main([*words, "--namespace", "llama-cpp"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: KUBERNETES_SERVICE_HOST is not set. ")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    account = ("--service-account-dir", str(tmp_path / "nothing"))
    assert main([*words, "--namespace", "llama-cpp", *account]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Check --service-account-dir.")


def test_a_taken_port_is_an_error_of_one_line(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_plan(tmp_path / "plan.json", plan)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["--host", "127.0.0.1", "--port", port, "--no-cluster"]
        assert main(["--url", "http://127.0.0.1:1", "--plan", str(path), *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--no-cluster",),
        ("--url", "http://x", "--plan", "p"),
        ("--url", "http://x", "--plan", "p", "--no-cluster", "--namespace", "x"),
        ("--url", "http://x", "--plan", "p", "--namespace", "x", "--tenant", "Pod/a/b"),
        ("--url", "http://x", "--plan", "p", "--no-cluster", "--port", "many"),
    ],
)
def test_wrong_arguments_are_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err
