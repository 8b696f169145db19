"""What differs between the two front ends in the serving pod; the rest is told once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from llama_swap_config.fit.residency import Residents
from llama_swap_config.front_ends.front_end import FrontEnd
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.front_ends.router import (
    ROUTER_ENVIRONMENT,
    render_router_preset,
    router_args,
)
from llama_swap_config.front_ends.server_command import ENVIRONMENT
from llama_swap_config.lock.locked import LockedModel

CONFIG_DIR = "/config"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndProgram:
    """The program that stands in front of the models, as a container runs it."""

    config_key: str
    """Name of the configuration's file in `CONFIG_DIR`."""
    config: str
    """Its text."""
    script: str
    """What the container's shell runs; it ends in the program itself."""
    health_path: str
    """What answers 200 once the program listens: without a key, loading no model."""
    env: Mapping[str, str]
    """Its part of the container's environment."""


def front_end_program(
    front_end: FrontEnd,
    *,
    models: tuple[LockedModel, ...],
    settings: LlamaSwapSettings,
    port: int,
    residents: Residents,
) -> FrontEndProgram:
    """Render the program that the settings choose.

    Args:
        front_end: Which of the two.
        models: The locked registry.
        settings: What the operator chose of llama-swap and of what stands behind it.
        port: The port that the pod listens on.
        residents: What it may hold on the card.

    Raises:
        ConfigError: when two models share a name, and for what the router's file cannot say.
    """
    if front_end == "llama-server":
        return _llama_server(models, settings, port, residents)
    return _llama_swap(models, settings, port, residents)


# Both are started through a shell for the limit: an engine that crashes in a loop wrote 148 GiB of
# core files in 50 minutes elsewhere and took its node down.


def _llama_swap(
    models: tuple[LockedModel, ...], settings: LlamaSwapSettings, port: int, residents: Residents
) -> FrontEndProgram:
    key = "llama-swap.yaml"
    return FrontEndProgram(
        config_key=key,
        config=render_llama_swap(models, settings, residents),
        script="ulimit -c 0; "
        f"exec /app/llama-swap -config {CONFIG_DIR}/{key} -listen 0.0.0.0:{port}",
        # Unlike /health it logs nothing.
        health_path="/wol-health",
        env=ENVIRONMENT,
    )


def _llama_server(
    models: tuple[LockedModel, ...], settings: LlamaSwapSettings, port: int, residents: Residents
) -> FrontEndProgram:
    key = "router-preset.ini"
    args = router_args(
        port=port, preset_path=f"{CONFIG_DIR}/{key}", models_max=residents.models_max
    )
    words = shlex.join((settings.server.binary, *args))
    # A variable that is missing or empty ends the shell: llama-server would drop that key without
    # a word, and ask for none at all when it was the only one.
    keys = ",".join(f"${{{name}:?}}" for name in settings.api_key_env)
    export = f'export LLAMA_API_KEY="{keys}"; ' if keys else ""
    return FrontEndProgram(
        config_key=key,
        config=render_router_preset(models, settings.server),
        script=f"ulimit -c 0; {export}exec {words}",
        health_path="/health",
        env=ENVIRONMENT | ROUTER_ENVIRONMENT,
    )
