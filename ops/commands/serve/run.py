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

from llama_swap_config.declaration import load
from llama_swap_config.fit.residency import ONE_RESIDENT, OneAtATime, Residents
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName, Listen
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LOCK_PATH, LockedModel
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.served_keys import ServedKey, served_keys
from ops.endpoint.api_key import KEY_VARIABLE
from ops.errors import OpsError
from ops.machine.llama_server import llama_server
from ops.machine.ports import free_ports, refusal
from ops.machine.processes import Processes
from ops.report.terminal import Say
from stacks.settings import Settings

_OTHER_KEY_VARIABLE = "ENDPOINT_API_KEY"
"""For a key whose own variable each llama-server would inherit."""
_NAME = "front-end"
_READY_TIMEOUT_S = 60
# SIGTERM lets llama-swap answer what it has begun, for 30 s at most.
_STOP_TIMEOUT_S = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A front end that runs on this machine."""

    url: str
    """`http://127.0.0.1:PORT`."""
    front_end: FrontEndName
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
    front_end: FrontEndName | None,
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


def choose(front_end: FrontEndName | None, say: Say) -> FrontEndName:
    """Choose the front end: the wanted one, else llama-swap where it is on PATH.

    Raises:
        OpsError: when llama-swap is wanted and not there.
    """
    here = available()
    for each in FRONT_ENDS.values():
        if each.name in here:
            continue
        if front_end == each.name:
            raise OpsError(
                f"{each.on_path} is not on PATH; install it ({each.home_page}), or leave the "
                "choice out: llama-server's own router then takes its place"
            )
        if front_end is None:
            say(f"{each.on_path} is not on PATH: llama-server's own router takes its place")
    return front_end or here[0]


def production_residents(
    settings: Settings,
    front_end: FrontEndName,
    *,
    lock_path: Path = LOCK_PATH,
    say: Say,
) -> Residents:
    """Work out what the registry allows on production's card, whatever this machine has.

    Args:
        settings: Production's.
        front_end: What serves here. Another one than production's may not know its sets: then one
            model at a time.
        lock_path: Whose files are served; left out: the repository's lock.
        say: Takes a line for the operator.

    Raises:
        ConfigError: when registry, lock or residency do not hold together.
    """
    declaration = load(lock_path)
    if isinstance(declaration.residency, OneAtATime):
        return ONE_RESIDENT
    if front_end != settings.front_end:
        say(f"{front_end} holds one model at a time: production has {settings.front_end}")
        return ONE_RESIDENT
    return FRONT_ENDS[front_end].residents(
        declaration.locked, declaration.residency, settings.node.machine
    )


def available() -> tuple[FrontEndName, ...]:
    """Name the front ends that this machine has, the best first."""
    return tuple(
        each.name
        for each in FRONT_ENDS.values()
        if not each.on_path or shutil.which(each.on_path) is not None
    )


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
    front_end: FrontEndName,
    store: LocalStore,
    server: ServerSettings,
    folder: Path,
    port: int,
    residents: Residents,
    keys: tuple[ServedKey, ...],
) -> tuple[list[str], dict[str, str]]:
    """Write the configuration; return the command and its environment."""
    chosen = FRONT_ENDS[front_end]
    values = {
        _OTHER_KEY_VARIABLE if key.variable in chosen.inherited_keys else key.variable: key.read()
        for key in keys
    }
    env = {**os.environ, **chosen.env}
    env.pop(KEY_VARIABLE, None)
    if store.random_weights:
        # Threads that wait for each other take longer than the tiny models' work.
        env["LLAMA_ARG_THREADS"] = "1"
    settings = LlamaSwapSettings(
        binary=shutil.which(chosen.on_path) or chosen.on_path,
        server=server,
        start_port=free_ports(len(store.models), avoid=(port,)),
        api_key_env=tuple(values),
    )
    config = folder / chosen.config_key
    config.write_text(chosen.config(store.models, settings, residents), encoding="utf-8")
    listen = Listen(host="127.0.0.1", port=port, config_path=str(config))
    return [*chosen.command(settings, listen, residents)], {**env, **chosen.key_env(values)}


def _fingerprint(
    models: tuple[LockedModel, ...],
    front_end: FrontEndName,
    server: ServerSettings,
    port: int | None,
    residents: Residents,
    keys: tuple[ServedKey, ...],
) -> str:
    """What has to be the same for a running front end to be the wanted one."""
    rendered = FRONT_ENDS[front_end].config(models, LlamaSwapSettings(server=server), residents)
    files = [file.sha256 for each in models for file in each.files]
    values = [(key.variable, key.read()) for key in keys]
    wanted = (front_end, rendered, server, files, port, residents, values)
    return hashlib.sha256(repr(wanted).encode()).hexdigest()


def _recorded(folder: Path) -> Mapping[str, Any]:
    try:
        stored: Mapping[str, Any] = json.loads((folder / "served.json").read_text())
        return stored
    except (OSError, ValueError):
        return {}


def _wait(processes: Processes, served: Served) -> None:
    path = FRONT_ENDS[served.front_end].health_path
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
