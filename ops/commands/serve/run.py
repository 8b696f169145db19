"""The registry served on this machine: the real front end and llama-server, on 127.0.0.1."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llama_swap_config.fit.residency import ONE_RESIDENT, Residents
from llama_swap_config.front_ends.front_end import FrontEnd
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.front_ends.router import (
    ROUTER_ENVIRONMENT,
    render_router_preset,
    router_args,
)
from llama_swap_config.front_ends.server_command import ENVIRONMENT, ServerSettings
from llama_swap_config.lock.locked import LockedModel
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.served_keys import ServedKey, served_keys
from ops.endpoint.api_key import KEY_VARIABLE
from ops.errors import OpsError
from ops.machine.llama_server import llama_server
from ops.machine.ports import free_ports, refusal
from ops.machine.processes import Processes
from ops.report.terminal import Say

# Under its own name the key would be inherited by each llama-server, which then asks for it too.
_LLAMA_SWAP_KEY_VARIABLE = "ENDPOINT_API_KEY"
_NAME = "front-end"
_READY_TIMEOUT_S = 60
# SIGTERM lets llama-swap answer what it has begun, for 30 s at most.
_STOP_TIMEOUT_S = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A front end that runs on this machine."""

    url: str
    """`http://127.0.0.1:PORT`."""
    front_end: FrontEnd
    models: tuple[str, ...]
    """The ids, in the registry's order."""
    pid: int
    log: Path
    key: ServedKey | None
    """A key that it takes; None: it asks for none."""


def start(
    store: LocalStore,
    state_dir: Path,
    *,
    front_end: FrontEnd | None,
    port: int | None,
    say: Say,
    settings: ServerSettings | None = None,
    residents: Residents = ONE_RESIDENT,
    api_key_env: tuple[str, ...] = (),
) -> Served:
    """Start a front end over a store, or find the one that already serves exactly that.

    Args:
        store: The filled store.
        state_dir: Where configuration, log and record are kept.
        front_end: Which one; left out: llama-swap where it is on PATH, else llama-server.
        port: On 127.0.0.1; left out: a free one.
        say: Takes a line for the operator.
        settings: What every llama-server gets; its program and store are set here.
        residents: What it may hold at once; left out: one model.
        api_key_env: The variables of its API keys, as the settings declare them (default: none).

    Raises:
        OpsError: when a program is missing or does not start; nothing is left running.
    """
    binary = llama_server(say)
    chosen = choose(front_end, say)
    server = replace(
        settings or ServerSettings(), binary=str(binary), models_dir=str(store.volume.resolve())
    )
    folder = state_dir / "serve"
    processes = Processes(folder)
    keys = served_keys(api_key_env, state_dir)
    wanted = _fingerprint(store.models, chosen, server, port, residents, keys)
    found = find(state_dir)
    if found is not None and _recorded(folder).get("fingerprint") == wanted:
        say(f"{found.front_end} serves already, at {found.url}")
        return found
    stop(state_dir)
    if keys and not api_key_env:
        say(
            f"{KEY_VARIABLE} is set, so the endpoint asks for it; the settings declare no key, "
            "which smoke and drift report"
        )
    folder.mkdir(parents=True, exist_ok=True)
    at = _port(port)
    command, env = _command(chosen, store, server, folder, at, residents, keys)
    processes.start(_NAME, command, env=env)
    url = f"http://127.0.0.1:{at}"
    served = Served(
        url=url,
        front_end=chosen,
        models=tuple(each.model.id for each in store.models),
        pid=processes.pid(_NAME),
        log=processes.log(_NAME),
        key=keys[0] if keys else None,
    )
    try:
        _wait(processes, served)
    except BaseException:
        stop(state_dir)
        raise
    record = {**asdict(served), "fingerprint": wanted}
    (folder / "served.json").write_text(json.dumps(record, default=str))
    return served


def find(state_dir: Path) -> Served | None:
    """Find the front end of this directory, if it runs."""
    folder = state_dir / "serve"
    stored = _recorded(folder)
    if not stored or not Processes(folder).is_running(_NAME):
        return None
    key = stored.get("key")
    return Served(
        url=stored["url"],
        front_end=stored["front_end"],
        models=tuple(stored["models"]),
        pid=stored["pid"],
        log=Path(stored["log"]),
        key=key
        and ServedKey(variable=key["variable"], file=Path(key["file"]) if key["file"] else None),
    )


def stop(state_dir: Path) -> bool:
    """End the front end of this directory and every llama-server that it started.

    Returns:
        Whether anything was running.
    """
    folder = state_dir / "serve"
    stopped = Processes(folder).stop(_NAME, timeout_s=_STOP_TIMEOUT_S)
    (folder / "served.json").unlink(missing_ok=True)
    return stopped


def choose(front_end: FrontEnd | None, say: Say) -> FrontEnd:
    """Choose the front end: the wanted one, else llama-swap where it is on PATH.

    Raises:
        OpsError: when llama-swap is wanted and not there.
    """
    on_path = shutil.which("llama-swap") is not None
    if front_end == "llama-swap" and not on_path:
        raise OpsError(
            "llama-swap is not on PATH; install it (github.com/mostlygeek/llama-swap), or leave "
            "the choice out: llama-server's own router then takes its place"
        )
    if front_end is None and not on_path:
        say("llama-swap is not on PATH: llama-server's own router takes its place")
    return front_end or ("llama-swap" if on_path else "llama-server")


def _port(port: int | None) -> int:
    if port is None:
        return free_ports()
    reason = refusal(port)
    if reason is not None:
        raise OpsError(
            f"port {port} on 127.0.0.1 cannot be had ({reason}); pass another --port, or leave it "
            "out for a free one"
        )
    return port


def _command(
    front_end: FrontEnd,
    store: LocalStore,
    server: ServerSettings,
    folder: Path,
    port: int,
    residents: Residents,
    keys: tuple[ServedKey, ...],
) -> tuple[list[str], dict[str, str]]:
    """Write the configuration; return the command and its environment."""
    env = {**os.environ, **ENVIRONMENT}
    if store.random_weights:
        # Threads that wait for each other take longer than the tiny models' work.
        env["LLAMA_ARG_THREADS"] = "1"
    if front_end == "llama-server":
        config = folder / "router-preset.ini"
        config.write_text(render_router_preset(store.models, server), encoding="utf-8")
        arguments = router_args(
            port=port,
            preset_path=str(config),
            host="127.0.0.1",
            models_max=residents.models_max,
        )
        if keys:
            env[KEY_VARIABLE] = ",".join(key.read() for key in keys)
        return [server.binary, *arguments], env | ROUTER_ENVIRONMENT
    env.pop(KEY_VARIABLE, None)
    values = {_in_llama_swap(key.variable): key.read() for key in keys}
    settings = LlamaSwapSettings(
        server=server,
        start_port=free_ports(len(store.models), avoid=(port,)),
        api_key_env=tuple(values),
    )
    config = folder / "llama-swap.yaml"
    config.write_text(render_llama_swap(store.models, settings, residents), encoding="utf-8")
    program = shutil.which("llama-swap") or "llama-swap"
    return [program, "-config", str(config), "-listen", f"127.0.0.1:{port}"], env | values


def _in_llama_swap(variable: str) -> str:
    return _LLAMA_SWAP_KEY_VARIABLE if variable == KEY_VARIABLE else variable


def _fingerprint(
    models: tuple[LockedModel, ...],
    front_end: FrontEnd,
    server: ServerSettings,
    port: int | None,
    residents: Residents,
    keys: tuple[ServedKey, ...],
) -> str:
    """What has to be the same for a running front end to be the wanted one."""
    rendered = render_llama_swap(models, LlamaSwapSettings(server=server))
    files = [file.sha256 for each in models for file in each.files]
    values = [(key.variable, key.read()) for key in keys]
    wanted = (front_end, rendered, files, port, residents, values)
    return hashlib.sha256(repr(wanted).encode()).hexdigest()


def _recorded(folder: Path) -> Mapping[str, Any]:
    try:
        stored: Mapping[str, Any] = json.loads((folder / "served.json").read_text())
        return stored
    except (OSError, ValueError):
        return {}


def _wait(processes: Processes, served: Served) -> None:
    path = "/wol-health" if served.front_end == "llama-swap" else "/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if not processes.is_running(_NAME):
            raise OpsError(
                f"{served.front_end} ended at its start ({processes.last_line(_NAME)}); its log "
                f"is {served.log}"
            )
        try:
            opener.open(f"{served.url}{path}", timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise OpsError(
        f"{served.front_end} does not answer after {_READY_TIMEOUT_S} s; its log is {served.log}"
    )
