"""Real front ends and servers with two cards, each played by a ggml-rpc-server.

A ggml-rpc-server answers one client at a time, so each card is that of one process.
"""

from __future__ import annotations

import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.fit.residency import ONE_AT_A_TIME, Residents, models_max, residents_of
from llama_swap_config.front_ends.front_end import Listen
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.router import ROUTER, render_router_preset
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.model import Model
from ops.commands.serve import run as serve
from ops.engine.card import cards
from ops.machine.llama_build import BUILD
from ops.machine.llama_server import rpc_programs
from ops.machine.ports import free_ports
from ops.machine.processes import Processes
from tests.real.serve.served import skip_without, store_of
from tests.real.serve.test_residency import after_each, ask

MACHINE = Machine(card=Card(product="Tesla-T4"), engine_build=BUILD)
PLAYS_CUDA = """#!{python}
import os, sys
addresses = {addresses!r}
shown = [int(card) for card in os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")]
words = [word.replace("CUDA", "RPC") for word in sys.argv[1:]]
rpc = ",".join(addresses[card] for card in shown)
os.execv({program!r}, [{program!r}, "--rpc", rpc, *words])
"""
"""llama-server with cards for which CUDA_VISIBLE_DEVICES does what CUDA does."""


def model(model_id: str, *on: int, vision: bool = False) -> Model:
    return Model(
        id=model_id,
        repository="owner/name",
        quantisation="F16",
        projector="F16" if vision else None,
        image_max_tokens=64 if vision else None,
        context=512,
        cards=on,
    )


MODELS = (
    model("first", 0),
    model("seeing", 1, vision=True),
    model("third", 1),
    model("split", 1, 0, vision=True),
)


@contextmanager
def llama_swap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """Serve the models; yield the URL and the cards' addresses."""
    skip_without("llama-swap")
    programs = rpc_programs(print)
    store = store_of(MODELS, folder)
    with cards(programs, 2) as addresses:
        program = folder / "llama-server"
        program.write_text(
            PLAYS_CUDA.format(
                python=sys.executable,
                addresses=list(addresses),
                program=str(programs / "llama-server"),
            )
        )
        program.chmod(0o755)
        monkeypatch.setenv("LLAMA_SERVER", str(program))
        try:
            running = serve.start(
                store, folder, front_end="llama-swap", port=None, say=print, device="CUDA0",
                residents=residents_of(store.models, ONE_AT_A_TIME, MACHINE),
            )  # fmt: skip
            yield running.url, list(addresses)
        finally:
            serve.stop(folder)


def loaded_on(url: str, model_id: str) -> dict[str, set[str]]:
    """Return the cards of the weights and of the projector, and copies for pipeline parallelism,
    as the model's log names them."""
    request = urllib.request.urlopen(f"{url}/logs/stream/{model_id}", timeout=10)
    log = b""
    with request as response:
        deadline = time.monotonic() + 10
        while b"listening on" not in log and time.monotonic() < deadline:
            log += response.read1(65536)
    text = log.decode()
    return {
        "weights": set(re.findall(r"RPC\d+\[([^]]+)\] model buffer size", text)),
        "projector": set(re.findall(r"CLIP using RPC\d+\[([^]]+)\]", text)),
        "copies": set(re.findall(r"sched copies = (\d+)", text)),
    }


def test_models_of_different_cards_do_not_end_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with llama_swap(tmp_path, monkeypatch) as (url, addresses):
        assert after_each(url, "llama-swap", "first", "seeing", "third", "split", "first") == [
            {"first"},
            {"first", "seeing"},
            {"first", "third"},
            {"split"},
            {"first"},
        ]
        ask(url, "seeing")
        assert loaded_on(url, "first")["weights"] == {addresses[0]}
        assert loaded_on(url, "seeing") == {
            "weights": {addresses[1]},
            "projector": {addresses[1]},
            "copies": {"1"},
        }


def test_a_split_model_loads_over_both_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with llama_swap(tmp_path, monkeypatch) as (url, addresses):
        ask(url, "split")
        assert loaded_on(url, "split") == {
            "weights": set(addresses),
            "projector": {addresses[1]},
            "copies": {"1"},
        }


@contextmanager
def router(folder: Path, models: tuple[Model, ...]) -> Iterator[tuple[str, Processes]]:
    """Run the router with two cards for each model, since a card is that of one process."""
    programs = rpc_programs(print)
    store = store_of(models, folder)
    server = ServerSettings(
        binary=str(programs / "llama-server"), models_dir=str(store.volume.resolve())
    )
    held = models_max(store.models, ONE_AT_A_TIME, MACHINE)
    with ExitStack() as stack:
        # CUDA's cards are there at once; those of RPC have to be named before `device`.
        preset = render_router_preset(store.models, server).replace("CUDA", "RPC")
        for each in models:
            both = ",".join(stack.enter_context(cards(programs, 2)))
            preset = preset.replace(f"[{each.id}]\n", f"[{each.id}]\nrpc = {both}\n")
        config = folder / ROUTER.config_key
        config.write_text(preset)
        listen = Listen(host="127.0.0.1", port=free_ports(), config_path=str(config))
        command = ROUTER.command(
            LlamaSwapSettings(server=server), listen, Residents(models_max=held)
        )
        processes = Processes(folder / "router")
        processes.start("router", list(command), env={"PATH": "/usr/bin:/bin", **ROUTER.env})
        stack.callback(processes.stop, "router", timeout_s=10)
        url = f"http://127.0.0.1:{listen.port}"
        deadline = time.monotonic() + 60
        while not answers(f"{url}{ROUTER.health_path}"):
            assert time.monotonic() < deadline, processes.last_line("router")
            time.sleep(0.02)
        yield url, processes


def until_logged(path: Path, pattern: str, number: int) -> None:
    """Wait until a log has a number of different matches: the router passes lines on later."""
    deadline = time.monotonic() + 10
    while len(set(re.findall(pattern, log := path.read_text()))) != number:
        assert time.monotonic() < deadline, log
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def test_the_routers_models_are_on_the_cards_that_they_name(tmp_path: Path) -> None:
    models = (model("first", 0), model("second", 1, vision=True))
    with router(tmp_path, models) as (url, processes):
        assert after_each(url, "llama-server", "first", "second", "first") == [
            {"first"},
            {"first", "second"},
            {"first", "second"},
        ]
        until_logged(processes.log("router"), r"using device (RPC\d+)", 2)


def test_the_router_loads_a_split_model(tmp_path: Path) -> None:
    with router(tmp_path, (model("split", 0, 1),)) as (url, processes):
        assert after_each(url, "llama-server", "split") == [{"split"}]
        until_logged(processes.log("router"), r"using device (RPC\d+)", 2)
        until_logged(processes.log("router"), r"RPC\d+\[([^]]+)\] model buffer size", 2)
