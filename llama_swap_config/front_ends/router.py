"""llama-server's router: its INI of all models, its command line and its answers.

Like llama-swap, the router starts one llama-server for each section on demand. The keys of a
section are flags without their dashes; the router exits at its start if it does not know one.
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
    mib_by_card,
    models_max,
)
from llama_swap_config.front_ends.front_end import FrontEnd, Listen, Started, entries
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import (
    ENVIRONMENT,
    Option,
    ServerSettings,
    model_options,
    own_devices,
    shared_options,
)
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model

_STOP_TIMEOUT_S = 1
"""While a request is in flight llama-server hangs at its first stop, which delays a swap until the
router kills it, by default after 10 s."""
_THREADS_HTTP = 64
"""A waiting client holds one thread of the router and one of the model, and the kubelet's probes
need one too. llama-swap rejects the eleventh client of a model; the router lets all wait. (b11434
starts more threads when these run out: /health took 1 ms behind 30 clients that waited on 2.)"""
_OF_ROUTER: tuple[Option, ...] = (
    ("--threads-http", str(_THREADS_HTTP)),
    ("--no-ui", None),
    ("--offline", None),
)
_UNSAYABLE = ";#\r\n"
"""Characters that start a comment or a line anywhere; the file has no quotes."""


def _words(*options: Option) -> tuple[str, ...]:
    return tuple(word for option in options for word in option if word is not None)


def render_router_preset(models: tuple[LockedModel, ...], server: ServerSettings) -> str:
    """Render the router's INI, which has no keys for a model's name and description.

    Args:
        models: The locked registry, in the operator's order.
        server: Settings of every llama-server.

    Returns:
        INI, byte-stable for equal arguments.

    Raises:
        ConfigError: when two models share a name, or for what the file cannot express: `;`, `#`
            or blanks around a value, a repeated flag, environment variables of one model.
    """
    check_registry(locked.model for locked in models)
    by_router = {flag for flag, _ in _OF_ROUTER}
    of_all, devices = own_devices([it.model for it in models], server, isolated=False)
    shared = [option for option in shared_options(of_all) if option[0] not in by_router]
    _check_sayable("settings", "llama_swap.server.models_dir", server.models_dir)
    sections = [_section("*", [*shared, ("stop-timeout", str(_STOP_TIMEOUT_S))])]
    for locked in models:
        model = locked.model
        options = model_options(
            model,
            weights=locked.weights_link,
            folder=f"{server.models_dir}/{model.id}/",
            alias=",".join(model.aliases) or None,
            device=devices.get(model.id),
        )
        _check_model(model, options)
        # Without the flag it never sleeps; llama-server refuses 0.
        idle = [("--sleep-idle-seconds", str(model.ttl_s))] if model.ttl_s else []
        sections.append(_section(model.id, [*options, *idle]))
    return "\n".join(sections)


def _check_model(model: Model, options: tuple[Option, ...]) -> None:
    subject = f"model {model.id!r}"
    if model.env:
        raise ConfigError.of(
            subject, "env", ", ".join(sorted(model.env)),
            expected="no variable with the front end llama-server, whose models share theirs",
            remedy="Use a flag in extra_args, or choose the front end llama-swap",
        )  # fmt: skip
    seen: set[str] = set()
    for flag, value in options:
        if flag in seen:
            raise ConfigError.of(
                subject, "extra_args", flag,
                expected="each flag once with the front end llama-server, which keeps the last",
                remedy="Join the values by commas where the flag takes several",
            )  # fmt: skip
        seen.add(flag)
        _check_sayable(subject, f"extra_args {flag}", value or "")


def _check_sayable(subject: str, field: str, text: str) -> None:
    if text != text.strip() or any(character in _UNSAYABLE for character in text):
        raise ConfigError.of(
            subject, field, text,
            expected="no ';', no '#' and no blank at either end with the front end llama-server",
            remedy="Reword it, or choose the front end llama-swap",
        )  # fmt: skip


def _section(name: str, options: Iterable[Option]) -> str:
    lines = (
        f"{flag.lstrip('-')} = {'true' if value is None else value}\n" for flag, value in options
    )
    return f"[{name}]\n{''.join(lines)}"


def _command(settings: LlamaSwapSettings, listen: Listen, residents: Residents) -> tuple[str, ...]:
    # Each model gets these too, and they override its section: they cannot differ between models,
    # so the INI does not repeat them.
    own: tuple[Option, ...] = (
        ("--host", listen.host),
        ("--port", str(listen.port)),
        ("--models-preset", listen.config_path),
        ("--models-max", str(residents.models_max)),
    )
    return (settings.server.binary, *_words(*own, *_OF_ROUTER))


def _reachable_sets(
    models: tuple[LockedModel, ...], residency: Residency, machine: Machine, card: int
) -> Sets:
    # Any so many models fit, so the largest stand for all of them.
    mib = {
        model_id: on_card[card]
        for model_id, on_card in mib_by_card(models, machine).items()
        if card in on_card
    }
    largest = sorted(mib, key=lambda model_id: -mib[model_id])
    return (tuple(largest[: models_max(models, residency, machine)]),)


def _started(answer: object) -> tuple[Started, ...] | None:
    listed = entries(answer, "data") or []
    states = [_of_status(entry, "value") for entry in listed]
    if not any(states):
        return None  # A gateway lists models without their state.
    words = [_of_status(entry, "args") for entry in listed]
    return tuple(
        Started(
            model=str(entry.get("id")),
            words=tuple(map(str, args)) if isinstance(args, list) else None,
            is_loaded=state in ("loading", "loaded"),
        )
        for entry, state, args in zip(listed, states, words, strict=True)
    )


def _log_of(log: str, port: int) -> str:
    prefix = f"[{port:5}] "
    lines = log.splitlines(keepends=True)
    return "".join(line.removeprefix(prefix) for line in lines if line.startswith(prefix))


def _of_status(entry: dict[str, Any], key: str) -> Any:
    status = entry.get("status")
    return status.get(key) if isinstance(status, dict) else None


ROUTER = FrontEnd(
    name="llama-server",
    title="llama-server's router",
    config_key="router-preset.ini",
    config=lambda models, settings, _: render_router_preset(models, settings.server),
    command=_command,
    # The router lists its cache, and `POST /models` downloads any repository into it, even with
    # `--offline`. No cache can be created below a device.
    env={**ENVIRONMENT, "LLAMA_CACHE": "/dev/null/none"},
    isolates=False,
    residents=lambda models, residency, machine: Residents(
        models_max=models_max(models, residency, machine)
    ),
    reachable_sets=_reachable_sets,
    ends_slow_loads=False,
    health_path="/health",
    residents_path="/v1/models",
    started=_started,
    command_field="args",
    log_of=_log_of,
    handed_down=_words(*_OF_ROUTER),
    own_flags=frozenset({
        "--host", "--port", "--alias", "--log-colors", "--models-preset", "--models-max",
        "--stop-timeout",
    }),
    build_path="/props",
    unknown_model_statuses=(400, 404),
    unload=lambda model: ("/models/unload", {"model": model}),
)  # fmt: skip
