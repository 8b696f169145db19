"""Serve the registry's models on 127.0.0.1 with the real front end and llama-server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llama_swap_config.fit.residency import ONE_RESIDENT, OneAtATime, Residents, cards_of
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName, Listen
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from ops.commands.serve.key_checks import check_keys
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.served_keys import ServedKey, served_keys
from ops.endpoint.api_key import KEY_VARIABLE
from ops.errors import OpsError
from ops.machine.llama_server import llama_server
from ops.machine.ports import free_ports, usable_port
from ops.machine.processes import Processes
from ops.report.terminal import Say
from stacks.pools import DeclaredPool

_OTHER_KEY_VARIABLE = "ENDPOINT_API_KEY"
"""Replaces a key's own variable where the front end needs that one for all keys."""
_NAME = "front-end"
_READY_TIMEOUT_S = 60
# After SIGTERM llama-swap finishes open requests, for at most 30 s.
_STOP_TIMEOUT_S = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A front end that runs on this machine."""

    url: str
    """`http://127.0.0.1:PORT`."""
    front_end: FrontEndName
    models: tuple[str, ...]
    """The models' ids, in the registry's order."""
    pid: int
    log: Path
    key: ServedKey | None
    """A key that it accepts; None: it requires none."""


def start(
    store: LocalStore,
    state_dir: Path,
    *,
    front_end: FrontEndName | None,
    port: int | None,
    say: Say,
    settings: ServerSettings | None = None,
    device: str | None = None,
    residents: Residents = ONE_RESIDENT,
    api_key_env: tuple[str, ...] = (),
) -> Served:
    """Start a front end over a volume, or return the running one if it serves exactly that.

    Args:
        store: The filled volume.
        state_dir: The directory of configuration, log and record.
        front_end: The front end; None: llama-swap if it is on PATH, else llama-server's router.
        port: The port on 127.0.0.1; None: a free port.
        say: Receives a line for the operator.
        settings: Settings of each llama-server; program, volume and device are set here
            (default: none).
        device: The device of each llama-server (default: it chooses, because this machine need
            not have production's).
        residents: The models that it may hold at once (default: one model).
        api_key_env: The variables of its API keys, as the settings declare them (default: none).

    Raises:
        OpsError: when a program is missing or does not start; nothing is left running.
    """
    binary = llama_server(say)
    chosen = choose(front_end, say)
    server = replace(
        settings or ServerSettings(),
        binary=str(binary),
        models_dir=str(store.volume.resolve()),
        device=device,
    )
    folder = state_dir / "serve"
    processes = Processes(folder)
    keys = served_keys(api_key_env, state_dir)
    wanted = _fingerprint(store.models, chosen, server, port, residents, keys)
    running = find(state_dir)
    if running is not None and _recorded(folder).get("fingerprint") == wanted:
        check_keys(running.url, running.key, log=running.log)
        say(f"{running.front_end} already serves at {running.url}")
        return running
    stop(state_dir)
    if device is None:
        say(
            "llama-server chooses its device: a GPU that it was built for, else the CPU; "
            "llama_swap.server.device is for the cluster"
        )
    if keys and not api_key_env:
        say(
            f"{KEY_VARIABLE} is set, so the endpoint requires it; smoke and drift will report it, "
            "because the settings declare no key"
        )
    folder.mkdir(parents=True, exist_ok=True)
    listen_port = usable_port(port)
    command, env = _command(chosen, store, server, folder, listen_port, residents, keys)
    processes.start(_NAME, command, env=env)
    url = f"http://127.0.0.1:{listen_port}"
    served = Served(
        url=url,
        front_end=chosen,
        models=tuple(locked.model.id for locked in store.models),
        pid=processes.pid(_NAME),
        log=processes.log(_NAME),
        key=keys[0] if keys else None,
    )
    try:
        processes.wait_for_answer(
            _NAME,
            f"{url}{FRONT_ENDS[chosen].health_path}",
            timeout_s=_READY_TIMEOUT_S,
            shown_as=chosen,
        )
        check_keys(served.url, served.key, log=served.log)
    except BaseException:
        stop(state_dir)
        raise
    record = {**asdict(served), "fingerprint": wanted}
    (folder / "served.json").write_text(json.dumps(record, default=str))
    return served


def find(state_dir: Path) -> Served | None:
    """Return the front end of this directory if it runs, else None."""
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
    """Stop the front end of this directory and every llama-server that it started.

    Returns:
        Whether anything was running.
    """
    folder = state_dir / "serve"
    stopped = Processes(folder).stop(_NAME, timeout_s=_STOP_TIMEOUT_S)
    (folder / "served.json").unlink(missing_ok=True)
    return stopped


def choose(front_end: FrontEndName | None, say: Say) -> FrontEndName:
    """Return the front end to use: the requested one, else llama-swap if it is on PATH.

    Raises:
        OpsError: when the requested front end is not on PATH.
    """
    usable = available()
    for candidate in FRONT_ENDS.values():
        if candidate.name in usable:
            continue
        if front_end == candidate.name:
            raise OpsError(
                f"{candidate.on_path} is not on PATH; install it ({candidate.home_page}), or omit "
                "--front-end to use llama-server's own router"
            )
        if front_end is None:
            say(
                f"{candidate.on_path} is not on PATH; using llama-server's own router, whose list "
                "of loaded models and errors differ from production's (docs/endpoints.md)"
            )
    return front_end or usable[0]


def production_residents(pool: DeclaredPool, front_end: FrontEndName, *, say: Say) -> Residents:
    """Return the models that a pool's cards may hold at once, whatever this machine has.

    Args:
        pool: The pool, with the lock of the served files.
        front_end: The front end on this machine; if the pool uses another one, one model at a
            time.
        say: Receives a line for the operator.

    Raises:
        ConfigError: when a model does not run on the pool's cards.
    """
    declaration, settings = pool.declaration, pool.settings
    is_one_card = len(cards_of(declaration.locked)) == 1
    if is_one_card and isinstance(declaration.residency, OneAtATime):
        return ONE_RESIDENT
    if front_end != settings.front_end:
        say(f"{front_end} holds one model at a time, as production uses {settings.front_end}")
        return ONE_RESIDENT
    return FRONT_ENDS[front_end].residents(
        declaration.locked, declaration.residency, settings.node.machine
    )


def available() -> tuple[FrontEndName, ...]:
    """Return the front ends that this machine has, the preferred one first."""
    return tuple(
        front_end.name
        for front_end in FRONT_ENDS.values()
        if not front_end.on_path or shutil.which(front_end.on_path) is not None
    )


def _command(
    front_end: FrontEndName,
    store: LocalStore,
    server: ServerSettings,
    folder: Path,
    port: int,
    residents: Residents,
    keys: tuple[ServedKey, ...],
) -> tuple[list[str], dict[str, str]]:
    """Write the front end's configuration; return its command and environment."""
    chosen = FRONT_ENDS[front_end]
    values = {
        _OTHER_KEY_VARIABLE if key.variable in chosen.own_variables else key.variable: key.read()
        for key in keys
    }
    env = {**os.environ, **chosen.env}
    env.pop(KEY_VARIABLE, None)
    if store.random_weights:
        # For tiny models, several threads cost more time than they save.
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
    """Return a hash of all that a running front end must share to be reused."""
    rendered = FRONT_ENDS[front_end].config(models, LlamaSwapSettings(server=server), residents)
    files = [file.sha256 for model in models for file in model.files]
    values = [(key.variable, key.read()) for key in keys]
    wanted = (front_end, rendered, server, files, port, residents, values)
    return hashlib.sha256(repr(wanted).encode()).hexdigest()


def _recorded(folder: Path) -> Mapping[str, Any]:
    try:
        stored: Mapping[str, Any] = json.loads((folder / "served.json").read_text())
        return stored
    except (OSError, ValueError):
        return {}
