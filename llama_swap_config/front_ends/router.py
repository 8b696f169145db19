"""llama-server's own router: its INI of all models, and how it is run and asked.

The router starts one llama-server per section on demand, as llama-swap does. A section's keys are
flags without their dashes; one that the router does not know ends it at its start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_swap_config.checks import check_registry
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import (
    Residency,
    Residents,
    Sets,
    models_max,
    totals_mib,
)
from llama_swap_config.front_ends.front_end import FrontEnd, Listen, Started, entries
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import (
    ENVIRONMENT,
    Option,
    ServerSettings,
    model_options,
    shared_options,
)
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model

_STOP_TIMEOUT_S = 1
"""llama-server hangs at its first stop while a request is in flight, and with it a swap; the
router kills it then, by its own default after 10 s."""
_THREADS_HTTP = 64
"""A client that waits, for a swap or for another's answer, holds one at the router and one at the
model, and the kubelet's probes need one too. llama-swap turns the eleventh client of a model away,
the router lets all wait. (b11434 opens more when these run out: /health took 1 ms behind 30
clients that waited on 2.)"""
_OF_ROUTER: tuple[Option, ...] = (
    ("--threads-http", str(_THREADS_HTTP)),
    ("--no-ui", None),
    ("--offline", None),
)
_UNSAYABLE = ";#\r\n"
"""A comment begins at these wherever they stand, and the file knows no quotes."""


def _words(*options: Option) -> tuple[str, ...]:
    return tuple(word for option in options for word in option if word is not None)


def render_router_preset(models: tuple[LockedModel, ...], server: ServerSettings) -> str:
    """Render the INI that the router reads.

    A model's name and description have no key: they are left out.

    Args:
        models: The locked registry, in the operator's order.
        server: What every llama-server gets.

    Returns:
        INI, byte-stable for equal arguments.

    Raises:
        ConfigError: when two models share a name, and for what the file cannot say: `;`, `#` or
            blanks around a value, a flag given twice, an environment of one model's own.
    """
    check_registry(locked.model for locked in models)
    by_router = {flag for flag, _ in _OF_ROUTER}
    shared = [option for option in shared_options(server) if option[0] not in by_router]
    _check_sayable("settings", "llama_swap.server.models_dir", server.models_dir)
    sections = [_section("*", [*shared, ("stop-timeout", str(_STOP_TIMEOUT_S))])]
    for locked in models:
        model = locked.model
        options = model_options(
            model,
            folder=f"{server.models_dir}/{model.id}/",
            alias=",".join(model.aliases) or None,
        )
        _check_model(model, options)
        # Left out it never sleeps; llama-server refuses 0.
        idle = [("--sleep-idle-seconds", str(model.ttl_s))] if model.ttl_s else []
        sections.append(_section(model.id, [*options, *idle]))
    return "\n".join(sections)


def _check_model(model: Model, options: tuple[Option, ...]) -> None:
    subject = f"model {model.id!r}"
    if model.env:
        raise ConfigError.of(
            subject, "env", ", ".join(sorted(model.env)),
            allowed="none with the front end llama-server, whose models share one environment",
            remedy="say it as a flag in extra_args, or choose the front end llama-swap",
        )  # fmt: skip
    seen: set[str] = set()
    for flag, value in options:
        if flag in seen:
            raise ConfigError.of(
                subject, "extra_args", flag,
                allowed="each flag once with the front end llama-server, which keeps the last",
                remedy="join the values by commas where the flag takes several",
            )  # fmt: skip
        seen.add(flag)
        _check_sayable(subject, f"extra_args {flag}", value or "")


def _check_sayable(subject: str, field: str, text: str) -> None:
    if text != text.strip() or any(character in _UNSAYABLE for character in text):
        raise ConfigError.of(
            subject, field, text,
            allowed="no ';' or '#' and no blank at either end with the front end llama-server",
            remedy="reword it, or choose the front end llama-swap",
        )  # fmt: skip


def _section(name: str, options: Iterable[Option]) -> str:
    lines = (
        f"{flag.lstrip('-')} = {'true' if value is None else value}\n" for flag, value in options
    )
    return f"[{name}]\n{''.join(lines)}"


def _command(settings: LlamaSwapSettings, listen: Listen, residents: Residents) -> tuple[str, ...]:
    # Each model gets these too, and they count more than its section: what is here cannot differ
    # between models, so the INI leaves it out.
    own: tuple[Option, ...] = (
        ("--host", listen.host),
        ("--port", str(listen.port)),
        ("--models-preset", listen.config_path),
        ("--models-max", str(residents.models_max)),
    )
    return (settings.server.binary, *_words(*own, *_OF_ROUTER))


def _reachable_sets(
    models: tuple[LockedModel, ...], residency: Residency, machine: Machine
) -> Sets:
    # Whichever so many: the largest stand for all of them.
    totals = totals_mib(models, machine)
    largest = sorted(totals, key=lambda each: -totals[each])
    return (tuple(largest[: models_max(models, residency, machine)]),)


def _started(answer: object) -> tuple[Started, ...] | None:
    listed = entries(answer, "data") or []
    states = [_of_status(each, "value") for each in listed]
    if not any(states):
        return None  # A gateway lists models without their state.
    words = [_of_status(each, "args") for each in listed]
    return tuple(
        Started(
            model=str(each.get("id")),
            words=tuple(map(str, args)) if isinstance(args, list) else None,
            is_loaded=state in ("loading", "loaded"),
        )
        for each, state, args in zip(listed, states, words, strict=True)
    )


def _of_status(entry: dict[str, Any], key: str) -> Any:
    status = entry.get("status")
    return status.get(key) if isinstance(status, dict) else None


ROUTER = FrontEnd(
    name="llama-server",
    title="llama-server's router",
    config_key="router-preset.ini",
    config=lambda models, settings, _: render_router_preset(models, settings.server),
    command=_command,
    # The router lists what its cache holds, and `POST /models` downloads any repository into it,
    # `--offline` or not. Under a device no cache can be made.
    env={**ENVIRONMENT, "LLAMA_CACHE": "/dev/null/none"},
    key_variable="LLAMA_API_KEY",
    residents=lambda models, residency, machine: Residents(
        models_max=models_max(models, residency, machine)
    ),
    reachable_sets=_reachable_sets,
    ends_slow_loads=False,
    health_path="/health",
    residents_path="/v1/models",
    started=_started,
    command_field="args",
    handed_down=_words(*_OF_ROUTER),
    own_flags=frozenset({
        "--host", "--port", "--alias", "--log-colors", "--models-preset", "--models-max",
        "--stop-timeout",
    }),
    build_path="/props",
    unknown_model_statuses=(400, 404),
    unload=lambda model: ("/models/unload", {"model": model}),
)  # fmt: skip
