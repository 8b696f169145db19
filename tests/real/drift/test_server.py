"""Drift of a running server, by either front end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.model import Model
from ops.commands.drift.declared import declared_of
from ops.commands.drift.run import Ask, drift
from ops.commands.serve.run import Served
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs
from stacks.settings import Settings
from tests.conftest import Synth
from tests.declaration.frozen import DECLARATION
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.ops.commands.smoke.smoke_runs import KEYED
from tests.real.drift.system import COMMIT, load, loaded, only_line
from tests.real.serve.served import served

OF_THIS_BUILD = replace(
    DECLARATION,
    locked=tuple(
        replace(
            locked,
            memory=tuple(replace(measured, engine_build=BUILD) for measured in locked.memory),
        )
        for locked in DECLARATION.locked
    ),
)
"""The declaration as if its figures were those of the build that serves here."""


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLAMA_API_KEY", "PG_CONN_STR", "PGHOST", "KUBE_CONFIG_PATH", "KUBE_CTX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=get_args(FrontEndName))
def front_end(request: pytest.FixtureRequest) -> FrontEndName:
    chosen: FrontEndName = request.param
    return chosen


def server_lines(
    front_end: FrontEndName,
    synth: Synth,
    at: Served,
    folder: Path,
    settings: Settings = SETTINGS,
) -> list[str]:
    """The differences of a running server from its declaration."""
    settings = replace(settings, front_end=front_end, engine_build=BUILD)
    document = synth(front_end=front_end)
    declared = declared_of(settings, OF_THIS_BUILD, document, directory=folder)
    result = drift(declared, Ask(sources=("server",), url=at.url), say=lambda line: None)
    assert result.unreachable == ()
    return [difference.line for difference in result.differences]


def test_a_server_as_declared_has_no_drift_and_loads_nothing(
    front_end: FrontEndName, synth: Synth, tmp_path: Path
) -> None:
    with served(REGISTRY, tmp_path, front_end) as at:
        assert server_lines(front_end, synth, at, tmp_path) == []
        assert loaded(at.url) == ()
        load(at.url, REGISTRY[1].id)
        assert server_lines(front_end, synth, at, tmp_path) == []
        assert loaded(at.url) == (REGISTRY[1].id,)


def test_another_context_of_a_running_model_is_drift(
    front_end: FrontEndName, synth: Synth, tmp_path: Path
) -> None:
    edited: Model = replace(REGISTRY[2], context=2048)
    with served((*REGISTRY[:2], edited), tmp_path, front_end) as at:
        load(at.url, edited.id)
        only_line(
            server_lines(front_end, synth, at, tmp_path),
            rf"model qwen3vl-4b: --ctx-size is 2048 in the running server, 3072 declared {COMMIT}"
            r": restart it with the declared configuration .*",
        )


def test_another_list_of_models_is_drift(
    front_end: FrontEndName, synth: Synth, tmp_path: Path
) -> None:
    stranger = replace(REGISTRY[1], id="stranger")
    with served((REGISTRY[0], stranger, REGISTRY[2]), tmp_path, front_end) as at:
        lines = server_lines(front_end, synth, at, tmp_path)
        assert loaded(at.url) == ()
    absent, present = lines
    assert absent.startswith(
        "model minicpm-v-4-5: is absent in the running server, declared (commit "
    ) or absent.startswith("model minicpm-v-4-5: is absent in the running server, declared (not ")
    assert present.startswith("model stranger: is present in the running server, not declared (")


def test_the_other_front_end_is_drift(
    front_end: FrontEndName, synth: Synth, tmp_path: Path
) -> None:
    (wanted,) = set(get_args(FrontEndName)) - {front_end}
    with served(REGISTRY, tmp_path, front_end) as at:
        only_line(
            server_lines(wanted, synth, at, tmp_path),
            rf"endpoint: front_end is {front_end} in the running server, {wanted} declared "
            rf"{COMMIT}: .*",
        )


def test_the_cpu_where_a_gpu_is_declared_is_drift(
    synth: Synth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = rpc_programs(print) / "llama-server"
    monkeypatch.setenv("LLAMA_SERVER", str(binary))
    server = ServerSettings(binary=str(binary))
    settings = replace(SETTINGS, llama_swap=replace(SETTINGS.llama_swap, server=server))
    with served(REGISTRY, tmp_path, "llama-swap") as at:
        load(at.url, REGISTRY[2].id)
        flag, device = server_lines("llama-swap", synth, at, tmp_path, settings)
        assert loaded(at.url) == (REGISTRY[2].id,)
    assert flag.startswith("model qwen3vl-4b: --device is not set in the running server, CUDA0 ")
    only_line(
        [device],
        rf"model qwen3vl-4b: device is CPU in the running server, CUDA0 declared {COMMIT}: "
        r"check llama_swap\.server\.device, gpu\.runtime_class and the node's driver",
    )


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_the_key_of_a_server_is_compared_with_its_declaration(
    front_end: FrontEndName,
    declared: bool,
    asked: bool,
    synth: Synth,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_GATEWAY", "s3cret")
    keys = ("KEY_GATEWAY",) if asked else ()
    with served(REGISTRY, tmp_path, front_end, api_key_env=keys) as at:
        monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
        settings = KEYED if declared else SETTINGS
        lines = server_lines(front_end, synth, at, tmp_path, settings)
    if declared == asked:
        assert lines == []
        return
    words = ["not needed", "needed"] if declared else ["needed", "not needed"]
    only_line(
        lines,
        rf"endpoint: key is {words[0]} in the running server, {words[1]} declared {COMMIT}: .*",
    )
