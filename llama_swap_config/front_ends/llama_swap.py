"""llama-swap: its YAML, its command line and its answers.

llama-swap silently ignores unknown keys, so every key is a field of one of these classes. The
names are llama-swap's (v250), snake_cased.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import Any, Literal

import yaml

from llama_swap_config.checks import check_registry
from llama_swap_config.errors import require_setting
from llama_swap_config.fit.residency import (
    ONE_RESIDENT,
    Combination,
    Residents,
    resident_sets,
    residents_of,
)
from llama_swap_config.front_ends.container_script import KEYS_VARIABLE
from llama_swap_config.front_ends.front_end import FrontEnd, Listen, Started, entries
from llama_swap_config.front_ends.server_command import (
    ENVIRONMENT,
    ServerSettings,
    model_args,
    own_devices,
    program,
    shared_args,
)
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from llama_swap_config.typed import typed

CMD_STOP = "sh -c 'kill -TERM ${PID}; sleep 0.3; kill -TERM ${PID} 2>/dev/null; true'"
"""While a request is in flight llama-server hangs at the first SIGTERM, which delays a swap, an
unload or a reload by 10 to 30 s; the second signal ends it (measured: 0.35 s). llama-swap starts
commands without a shell, so this one starts its own."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable with the cards that CUDA shows to a process, which counts them from 0."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@typed("settings", "llama_swap.")
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LlamaSwapSettings:
    """Settings of llama-swap and of the servers behind it."""

    binary: str = "/app/llama-swap"
    """Path of the program in a container image of the legacy layout."""
    server: ServerSettings = dataclasses.field(default_factory=ServerSettings)
    """Settings of every llama-server."""
    health_check_timeout_s: int = 300
    """Seconds that a load may take. 6.2 GB from NFS at 1 Gbit/s take 55 s, twice that on a busy
    line, and the first start of an image without the card's kernels compiles them for minutes."""
    unload_timeout_s: int = 10
    """Seconds between the stop command and SIGKILL when a model is unloaded."""
    global_ttl_s: int = 600
    """Idle seconds of a model without `ttl`."""
    start_port: int = 5800
    """First loopback port of its llama-servers, one each in the order of ids."""
    api_key_env: tuple[str, ...] = ()
    """Environment variables of the pod with the endpoint's API keys (default: no key)."""

    def __post_init__(self) -> None:
        for field, least in (
            ("health_check_timeout_s", 15),  # llama-swap takes 15 for less.
            ("unload_timeout_s", 1),
            ("global_ttl_s", 0),
        ):
            value = getattr(self, field)
            require_setting(value >= least, f"llama_swap.{field}", value, f"at least {least}")
        require_setting(
            1 <= self.start_port <= 65535, "llama_swap.start_port", self.start_port, "1 to 65535"
        )
        for name in self.api_key_env:
            require_setting(
                _VARIABLE.fullmatch(name),
                "llama_swap.api_key_env",
                name,
                "the name of an environment variable",
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwapModel:
    """One entry under `models:`."""

    name: str
    description: str | None
    cmd: str
    cmd_stop: str
    proxy: str
    check_endpoint: str
    ttl: int
    aliases: tuple[str, ...]
    env: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwapMatrix:
    """Which models may run together; a model in no set runs alone."""

    sets: dict[str, str]
    """Name -> ids joined by `&`, and alternatives of a card by `|`. A set allows its subsets; the
    first of two equally cheap sets wins."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwapRouterSettings:
    """`routing.router.settings`."""

    matrix: SwapMatrix


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwapRouter:
    """`routing.router`."""

    use: Literal["matrix"]
    settings: SwapRouterSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwapRouting:
    """`routing`; llama-swap also reads groups and matrix at the top level."""

    router: SwapRouter


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwapConfig:
    """The whole file; the order of the fields is the order of the keys."""

    health_check_timeout: int
    unload_timeout: int
    global_ttl: int = dataclasses.field(metadata={"key": "globalTTL"})
    log_to_stdout: Literal["proxy", "upstream", "both", "none"]
    capture_buffer: int
    start_port: int
    api_keys: tuple[str, ...]
    macros: dict[str, str]
    """Name -> text. A later macro may use an earlier one, so their order matters."""
    models: dict[str, SwapModel]
    routing: SwapRouting | None
    """None for one model at a time."""


def _swap_config(
    models: tuple[LockedModel, ...], settings: LlamaSwapSettings, residents: Residents
) -> SwapConfig:
    server = settings.server
    shared, devices = own_devices([it.model for it in models], server, isolated=True)
    return SwapConfig(
        health_check_timeout=settings.health_check_timeout_s,
        unload_timeout=settings.unload_timeout_s,
        global_ttl=settings.global_ttl_s,
        log_to_stdout="both",
        capture_buffer=0,
        start_port=settings.start_port,
        api_keys=tuple(f"${{env.{name}}}" for name in settings.api_key_env),
        macros={
            "models_dir": shlex.quote(server.models_dir),
            "stop_twice": CMD_STOP,
            "llama_server": " ".join((*program(server), *shared_args(shared))),
        },
        models={
            locked.model.id: SwapModel(
                name=locked.model.name or locked.model.id,
                description=locked.model.description or None,
                cmd="${llama_server} "
                + " ".join(model_args(locked, device=devices.get(locked.model.id))),
                cmd_stop="${stop_twice}",
                proxy="http://127.0.0.1:${PORT}",
                check_endpoint="/health",
                ttl=locked.model.ttl_s,
                aliases=locked.model.aliases,
                env=_env(locked.model, isolated=bool(devices)),
            )
            for locked in models
        },
        routing=_routing(residents),
    )


def _env(model: Model, *, isolated: bool) -> tuple[str, ...]:
    # CUDA's own order is not that of nvidia-smi, whose gauges say what is free on which card.
    cards = (
        {VISIBLE: ",".join(map(str, model.cards)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        if isolated
        else {}
    )
    return tuple(f"{name}={value}" for name, value in sorted((cards | dict(model.env)).items()))


def render_llama_swap(
    models: tuple[LockedModel, ...],
    settings: LlamaSwapSettings,
    residents: Residents = ONE_RESIDENT,
) -> str:
    """Render llama-swap's YAML.

    Args:
        models: The locked registry, in the operator's order.
        settings: Settings of llama-swap.
        residents: The models that may be on the card together (default: one at a time).

    Returns:
        YAML, byte-stable for equal arguments.

    Raises:
        ConfigError: when two models share a name.
    """
    check_registry(locked.model for locked in models)
    # PyYAML's C emitter writes the same bytes about six times faster; not every wheel has it.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(
        _plain(_swap_config(models, settings, residents)),
        Dumper=dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=96,
    )


def _routing(residents: Residents) -> SwapRouting | None:
    expressions = [
        *(" & ".join(ids) for ids in residents.sets),
        *map(_expression, residents.combinations),
    ]
    if not expressions:
        return None
    matrix = SwapMatrix(
        sets={f"together-{number}": text for number, text in enumerate(expressions, start=1)}
    )
    return SwapRouting(router=SwapRouter(use="matrix", settings=SwapRouterSettings(matrix=matrix)))


def _expression(combination: Combination) -> str:
    """Write a combination in the language of llama-swap's matrix."""
    parts = list(combination.split)
    for sets in combination.choices:
        alternatives = " | ".join(" & ".join(ids) for ids in sets)
        parts.append(alternatives if len(sets) == 1 else f"({alternatives})")
    return " & ".join(parts)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {}
        for field in dataclasses.fields(value):
            content = getattr(value, field.name)
            if content is not None and content != ():
                plain[field.metadata.get("key", _camel(field.name))] = _plain(content)
        return plain
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _command(
    settings: LlamaSwapSettings, listen: Listen, _residents: Residents
) -> tuple[str, ...]:
    address = f"{listen.host}:{listen.port}"
    return (settings.binary, "-config", listen.config_path, "-listen", address)


def _started(answer: object) -> tuple[Started, ...] | None:
    running = entries(answer, "running")
    if running is None:
        return None
    return tuple(
        Started(
            model=str(entry.get("model")),
            words=_words(entry.get("cmd")),
            is_loaded=entry.get("state") in ("starting", "ready"),
            ttl=None if entry.get("ttl") is None else str(entry["ttl"]),
        )
        for entry in running
    )


def _words(cmd: object) -> tuple[str, ...] | None:
    if not isinstance(cmd, str):
        return None
    try:
        return tuple(shlex.split(cmd))
    except ValueError:
        return tuple(cmd.split())


LLAMA_SWAP = FrontEnd(
    name="llama-swap",
    title="llama-swap",
    on_path="llama-swap",
    home_page="github.com/mostlygeek/llama-swap",
    config_key="llama-swap.yaml",
    config=render_llama_swap,
    command=_command,
    env=ENVIRONMENT,
    isolates=True,
    own_variables=frozenset({KEYS_VARIABLE}),
    residents=residents_of,
    reachable_sets=resident_sets,
    ends_slow_loads=True,
    # Unlike /health it writes no log line.
    health_path="/wol-health",
    residents_path="/running",
    started=_started,
    command_field="cmd",
    log_path=lambda model: f"/logs/stream/{model}",
    unknown_model_statuses=(404,),
    unload=lambda model: (f"/api/models/unload/{model}", {}),
)
