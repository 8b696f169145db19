"""The interface of both front ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import Residency, Residents, Sets
from llama_swap_config.front_ends.container_script import KEYS_VARIABLE, container_script
from llama_swap_config.lock.locked import LockedModel

if TYPE_CHECKING:
    from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings

FrontEndName = Literal["llama-swap", "llama-server"]
"""llama-swap, or llama-server's router, which is in the same image."""

CONFIG_DIR = "/config"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndProgram:
    """A front end as a container runs it."""

    config_key: str
    """File name of the configuration in `CONFIG_DIR`."""
    config: str
    """Text of the configuration."""
    script: str
    """Shell script of the container, which runs the program and ends with its exit code."""
    health_path: str
    """Path that answers 200 once the program listens, without a key and without loading a
    model."""
    env: Mapping[str, str]
    """Environment variables that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where a front end listens and reads its configuration."""

    host: str = "0.0.0.0"  # noqa: S104 - The Service's clients come from other pods.
    port: int
    config_path: str
    """Path of its configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A model's llama-server, as a running front end describes it."""

    model: str
    words: tuple[str, ...] | None
    """Its command line; None where the front end does not tell it."""
    is_loaded: bool
    """Whether it is loaded or loading; otherwise the front end would start it like this."""
    ttl: str | None = None
    """Idle seconds until it is unloaded; None where the front end does not tell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """A program that starts and stops one llama-server for each model on demand."""

    name: FrontEndName
    title: str
    """Name in messages."""
    on_path: str = ""
    """Program to find on PATH; empty where llama-server itself is the front end."""
    home_page: str = ""
    """Home page of that program."""

    config_key: str
    """File name of the configuration."""
    config: Callable[[tuple[LockedModel, ...], LlamaSwapSettings, Residents], str]
    """Renders the configuration. Raises ConfigError for what the file cannot express."""
    command: Callable[[LlamaSwapSettings, Listen, Residents], tuple[str, ...]]
    """Returns the program and its arguments."""
    env: Mapping[str, str]
    """Environment variables that it needs; every llama-server inherits them."""
    isolates: bool
    """Whether each llama-server sees no card but its model's. Otherwise it has a CUDA context on
    every card, and before b11434 its projector is on card 0."""
    own_variables: frozenset[str] = frozenset()
    """Variables that no API key may use: the front end reads each key from its own variable, and
    the script sets these to another value."""

    residents: Callable[[tuple[LockedModel, ...], Residency, Machine], Residents]
    """Computes which models it may load together. Raises ConfigError for what does not fit."""
    reachable_sets: Callable[[tuple[LockedModel, ...], Residency, Machine, int], Sets]
    """Computes the largest sets that it may load together on a card, of which the last argument
    is the number. Raises as `residents` does."""
    ends_slow_loads: bool
    """Whether it aborts a load after `health_check_timeout_s`."""

    health_path: str
    """Path that answers 200 once it listens, without a key and without loading a model."""
    residents_path: str
    """Path that answers with the loaded models, without loading one."""
    started: Callable[[object], tuple[Started, ...] | None]
    """Parses that answer; None where it comes from another program."""
    command_field: str
    """Field of that answer with a model's command line."""
    handed_down: tuple[str, ...] = ()
    """Arguments of its own that it passes to each llama-server."""
    own_flags: frozenset[str] = frozenset()
    """Flags that it adds to each llama-server, or reads from its file and does not pass on."""
    log_path: Callable[[str], str] | None = None
    """Returns the path that streams a model's log, its stored part first; None where none does."""
    log_of: Callable[[str, int], str] | None = None
    """Picks the log of the llama-server at a port from the front end's own log; None where that
    does not tell them apart."""
    build_path: str = ""
    """Path that answers with the engine's build; empty where none does."""
    unknown_model_statuses: tuple[int, ...]
    """HTTP statuses of its answer to an unknown model."""
    unload: Callable[[str], tuple[str, Mapping[str, str]]]
    """Returns the path and the body of the POST that unloads a model."""

    def program(
        self,
        models: tuple[LockedModel, ...],
        settings: LlamaSwapSettings,
        *,
        port: int,
        residents: Residents,
    ) -> FrontEndProgram:
        """Render the configuration and the command of a container.

        Args:
            models: The locked registry, in the operator's order.
            settings: Settings of llama-swap and of every llama-server.
            port: The pod's port.
            residents: The models that it may load together.

        Raises:
            ConfigError: when two models share a name, or the file cannot express a value.
        """
        listen = Listen(port=port, config_path=f"{CONFIG_DIR}/{self.config_key}")
        return FrontEndProgram(
            config_key=self.config_key,
            config=self.config(models, settings, residents),
            script=container_script(
                self.command(settings, listen, residents), key_env=settings.api_key_env
            ),
            health_path=self.health_path,
            env=self.env,
        )

    def key_env(self, keys: Mapping[str, str]) -> Mapping[str, str]:
        """Return the environment that passes API keys to it and to each llama-server.

        Args:
            keys: Variable -> key.
        """
        return {**keys, KEYS_VARIABLE: ",".join(keys.values())} if keys else {}

    def loaded(self, answer: object) -> tuple[str, ...] | None:
        """Read the models that are loaded or loading; None where `started` returns None.

        A sleeping model uses no memory and does not count.
        """
        started = self.started(answer)
        if started is None:
            return None
        return tuple(server.model for server in started if server.is_loaded)


def entries(answer: object, key: str) -> list[dict[str, Any]] | None:
    """Read the list of objects under a key of an answer; None where there is none."""
    listed = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        return None
    return [entry for entry in listed if isinstance(entry, dict)]
